#!/usr/bin/env python3
"""Puts results between the markers of documents, and draws plots: report.py RESULTS PLOTS DOCUMENT..."""

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


def fill(documents, texts):
    """Replaces the text between `<!-- begin NAME -->` and `<!-- end NAME -->`. Each name has a place in one document."""
    filled = list(documents)
    for name, text in texts.items():
        pattern = re.compile(rf"(<!-- begin {name} -->\n).*?(<!-- end {name} -->)", re.DOTALL)
        places = [i for i, document in enumerate(filled) for _ in pattern.finditer(document)]
        if len(places) != 1:
            raise ValueError(f"the documents have {len(places) or 'no'} places for {name}")
        filled[places[0]] = pattern.sub(lambda match: f"{match[1]}\n{text}\n\n{match[2]}", filled[places[0]])
    return filled


def main(results, plots, *documents):
    import plot

    found = load(results)
    paths = [pathlib.Path(document) for document in documents]
    for path, document in zip(paths, fill([path.read_text() for path in paths], sections(found))):
        path.write_text(document)
    pathlib.Path(plots).mkdir(exist_ok=True)
    plot.draw(found, pathlib.Path(plots))


if __name__ == "__main__":
    main(*sys.argv[1:])
