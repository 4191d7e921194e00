"""The dashboards of packaging/grafana: what they ask Prometheus, and whether they keep the rules for dashboards.

The tests of the nginx module and of the Python package import this file too, so it needs Python alone.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).resolve().parents[2] / "packaging/grafana"
NAMES = ("shmetrics", "nginx", "python", "prefork")
WATCHDOG_SECONDS = 300

# Units that Grafana knows, of those that these dashboards use.
UNITS = {"Bps", "bool_yes_no", "bytes", "cps", "ops", "percentunit", "reqps", "s", "short"}
FUNCTIONS_OF_COUNTERS = ("rate(", "increase(", "irate(")


class Query(NamedTuple):
    panel: str
    expression: str


def load(name: str) -> dict:
    return json.loads((FOLDER / f"{name}.json").read_text())


def panels(dashboard: dict) -> list[dict]:
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def queries(name: str, interval: str = "10s") -> list[Query]:
    """All expressions as Grafana sends them while each variable stands at "All"."""
    dashboard = load(name)
    every = {v["name"]: v["allValue"] for v in dashboard["templating"]["list"] if v["type"] == "query"}

    def filled(expression: str) -> str:
        expression = expression.replace("$__rate_interval", interval)
        return re.sub(r"\$(\w+)", lambda match: every[match[1]], expression)

    found = [Query(panel["title"], filled(target["expr"])) for panel in panels(dashboard) for target in panel["targets"]]
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            series, label = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"]).groups()
            found.append(Query(f"the variable {variable['name']}", f'count by ({label}) ({{__name__="{series.partition("{")[0]}"}})'))
            found.append(Query(f"the variable {variable['name']}", filled(series)))
    return found


def without_data(
    name: str, query: Callable[[str], list[float]], empty: tuple[str, ...] = (), seconds: float = WATCHDOG_SECONDS
) -> list[Query]:
    """The queries that still have no number when the time is over. `query` raises if Prometheus refuses one.

    `empty` are parts of expressions for which this deployment has no data.
    """
    deadline = time.monotonic() + seconds
    left = [one for one in queries(name) if not any(part in one.expression for part in empty)]
    while True:
        left = [one for one in left if all(value != value for value in query(one.expression))]
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.2)


def problems(name: str, dashboard: dict) -> list[str]:
    """What Grafana's own linter of dashboards asks for, and the frame of Grafana's schema."""
    found: list[str] = []

    def expect(holds: object, what: str) -> None:
        if not holds:
            found.append(f"{name}: {what}")

    expect(isinstance(dashboard["schemaVersion"], int) and re.fullmatch(r"[a-z-]{1,40}", dashboard["uid"]), "schemaVersion or uid")
    variables = {variable["name"]: variable for variable in dashboard["templating"]["list"]}
    expect(list(variables)[:3] == ["datasource", "job", "instance"], "the first variables")
    expect(variables["datasource"]["type"] == "datasource" and variables["datasource"]["query"] == "prometheus", "the data source")
    for variable in list(variables.values())[1:]:
        expect(variable["multi"] and variable["includeAll"] and variable["refresh"] == 2, f"the variable {variable['name']}")
        # A target without the label is selected too, unless each target has the label.
        every = ".+" if variable["name"] in ("job", "instance") else ".*"
        expect(variable["allValue"] == every, f"all values of {variable['name']}")
    numbers, places = [panel["id"] for panel in dashboard["panels"]], set()
    expect(len(numbers) == len(set(numbers)), "two panels with one id")
    for panel in dashboard["panels"]:
        at = panel["gridPos"]
        expect(0 <= at["x"] and at["x"] + at["w"] <= 24, f"{panel['title']}: its place")
        covered = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        expect(not covered & places, f"{panel['title']}: it lies on another panel")
        places |= covered
    for panel in panels(dashboard):
        title = panel["title"]
        expect(title and panel["description"], f"{title}: title or description")
        expect(panel["datasource"]["uid"] == "${datasource}" and panel["targets"], f"{title}: data source or queries")
        expect(panel["fieldConfig"]["defaults"]["unit"] in UNITS, f"{title}: unit")
        letters = [target["refId"] for target in panel["targets"]]
        expect(len(letters) == len(set(letters)), f"{title}: two queries with one letter")
        for target in panel["targets"]:
            expression = target["expr"]
            expect('job=~"$job"' in expression, f"{title}: a query for all jobs")
            expect('instance=~"$instance"' in expression or "ALERTS{" in expression, f"{title}: a query for all instances")
            expect(not re.search(r"\[(?!\$__rate_interval\])", expression), f"{title}: a range that is not $__rate_interval")
            named = set(re.findall(r"\$(\w+)", expression)) - {"__rate_interval"}
            expect(named <= variables.keys(), f"{title}: unknown variables {named - variables.keys()}")
            for before, counter in re.findall(r"(\w*\(?)(\b\w+(?:_total|_bucket|_sum|_count))\{", expression):
                # A table may show the total of a counter.
                expect(before in FUNCTIONS_OF_COUNTERS or panel["type"] == "table", f"{title}: {counter} without a rate")
    return found
