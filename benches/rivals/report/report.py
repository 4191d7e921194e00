#!/usr/bin/env python3
"""Puts results between the markers of a document, and draws plots: report.py RESULTS DOCUMENT PLOTS."""

import json
import pathlib
import re
import sys

import tables


def load(results):
    """What each part measured, by its name."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(pathlib.Path(results).glob("*.json"))}


def sections(found):
    """Texts by the name of their marker. What was not measured has none, and stays as it is in the document."""
    get = found.get
    makers = {
        "machine": lambda: tables.machine(found["machine"], found["updates"]),
        "glance": lambda: tables.glance(found["updates"], found["pages"], found["fresh"], found["memory"]),
        "updates": lambda: tables.updates(found["updates"], get("instructions")),
        "crowd": lambda: tables.crowd(found["crowd"]),
        "pages": lambda: tables.page_table(found["pages"]),
        "fresh": lambda: tables.fresh_table(found["fresh"]),
        "memory": lambda: tables.memory_table(found["memory"], get("python_memory")),
        "hot": lambda: tables.hot_table(found["memory"]),
        "processes": lambda: tables.process_table(found["memory"]),
        "scraped": lambda: tables.scraped_table(found["scraped"]),
        "workers": lambda: tables.worker_table(found["workers"], get("python_workers")),
        "forks": lambda: tables.fork_table(found["forks"]),
    }
    needs = {
        "machine": ("machine", "updates"),
        "glance": ("updates", "pages", "fresh", "memory"),
        "hot": ("memory",),
        "processes": ("memory",),
    }
    return {name: make() for name, make in makers.items() if all(part in found for part in needs.get(name, (name,)))}


def fill(document, texts):
    """Replaces what is between `<!-- begin NAME -->` and `<!-- end NAME -->`."""
    for name, text in texts.items():
        pattern = re.compile(rf"(<!-- begin {name} -->\n).*?(<!-- end {name} -->)", re.DOTALL)
        if not pattern.search(document):
            raise ValueError(f"the document has no place for {name}")
        document = pattern.sub(lambda match: f"{match[1]}\n{text}\n\n{match[2]}", document)
    return document


def main(results, document, plots):
    import plot

    found = load(results)
    path = pathlib.Path(document)
    path.write_text(fill(path.read_text(), sections(found)))
    pathlib.Path(plots).mkdir(exist_ok=True)
    plot.draw(found, pathlib.Path(plots))


if __name__ == "__main__":
    main(*sys.argv[1:])
