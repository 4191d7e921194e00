#!/usr/bin/env python3
"""Holds docs/runbook.md, the alerts and the code together.

Each metric that the library, the command and the Python package show about themselves has a section in
the runbook. Each alert leads to a section that names the alert, and has a test in which it fires. Links
of the runbook lead to headings that exist.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RUNBOOK = "docs/runbook.md"
RULES = "packaging/prometheus/shmetrics-rules.yml"
RULES_TEST = "packaging/prometheus/shmetrics-rules-test.yml"

# Where names of the library's own metrics are written, as string literals.
SOURCES = ("src/expose/**/*.rs", "src/capi/collect.rs", "src/text/names.rs", "cli/src/**/*.rs", "bindings/python/python/**/*.py")
# Literals that name no metric: an option of the plugin for pytest.
OTHERS = {"shmetrics_private"}


def text(path: str | Path) -> str:
    return (ROOT / path).read_text()


def anchor(heading: str) -> str:
    """As GitHub makes it of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def anchors(page: str) -> set[str]:
    return {anchor(heading) for heading in re.findall(r"^#+ (.+)$", page, re.M)}


def sections(page: str) -> dict[str, str]:
    """The text of each section of the third level, by its anchor."""
    parts = re.split(r"^### (.+)$", page, flags=re.M)
    return {anchor(heading): re.split(r"^## ", body, flags=re.M)[0] for heading, body in zip(parts[1::2], parts[2::2])}


def own_metrics() -> dict[str, str]:
    """The file of each name. Counters are written with or without `_total`."""
    found = {}
    for pattern in SOURCES:
        for path in sorted(ROOT.glob(pattern)):
            source = path.read_text().partition("\n#[cfg(test)]\nmod tests {")[0]
            for name in re.findall(r'"(shmetrics_[a-z_]+)"', source):
                found[name] = str(path.relative_to(ROOT))
    return {name: path for name, path in found.items() if name not in OTHERS}


def alerts(rules: str) -> dict[str, str]:
    """The part of the file about each alert."""
    parts = re.split(r"^ +- (?:alert|record): (\S+)$", rules, flags=re.M)
    return {name: body for name, body in zip(parts[1::2], parts[2::2]) if ":" not in name}


def broken_links(page: str) -> list[str]:
    problems = []
    for target in re.findall(r"\]\(([^)\s]+)\)", page):
        path, _, fragment = target.partition("#")
        file = ROOT / "docs" / path if path else ROOT / RUNBOOK
        if not file.exists():
            problems.append(f"{RUNBOOK}: {path} does not exist")
        elif fragment and fragment not in anchors(file.read_text()):
            problems.append(f"{RUNBOOK}: {path or RUNBOOK} has no heading #{fragment}")
    return problems


def main() -> int:
    page, rules, tested = text(RUNBOOK), text(RULES), text(RULES_TEST)
    about, metrics, named = sections(page), own_metrics(), alerts(rules)
    problems = broken_links(page)
    for name, path in metrics.items():
        if name not in about and f"{name}_total" not in about:
            problems.append(f"{path}: {name} has no section in {RUNBOOK}")
    known = {name for base in metrics for name in (base, f"{base}_total")}
    problems += [f"{RUNBOOK}: there is no metric {name}" for name in about if name.startswith("shmetrics_") and name not in known]
    for name, body in named.items():
        link = re.search(rf"^ +runbook_url: {re.escape(RUNBOOK)}#(\S+)$", body, re.M)
        if not link or link[1] not in about:
            problems.append(f"{RULES}: {name} leads to no section of {RUNBOOK}")
        elif f"**{name}**" not in about[link[1]]:
            problems.append(f"{RUNBOOK}: the section {link[1]} does not name its alert {name}")
        severity = re.search(r"severity: (\w+)", body)
        if not severity or f"**{name}** ({severity[1]})" not in page:
            problems.append(f"{RUNBOOK}: the severity of {name} is missing or another one")
        if f'alertname="{name}"' not in tested:
            problems.append(f"{RULES_TEST}: {name} fires in no test")
    problems += [f"{RULES}: there is no alert {name}, which {RUNBOOK} names" for name in set(re.findall(r"\*\*(Shmetrics\w+)\*\*", page)) - named.keys()]
    # A search that finds nothing would find no fault either.
    if len(metrics) < 20 or len(named) < 20:
        problems.append(f"only {len(metrics)} metrics and {len(named)} alerts were found")
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
