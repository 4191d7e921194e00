"""The rules and dashboards of packaging, by promtool, and in a real Prometheus that scrapes the demo.

rehearsal.py makes each alert fire. The dashboards of nginx and of Python are tried with their tests.
"""

from __future__ import annotations

import os
import subprocess
import unittest
from pathlib import Path

import grafana
import shm
from daemons import NewerPrometheus, Prometheus, exporter
from harness import main, needs
from prefork import Demo

RULES = shm.ROOT / "packaging/prometheus/shmetrics-rules.yml"
RULES_TEST = RULES.with_name("shmetrics-rules-test.yml")
WATCHDOG_SECONDS = 300


def promtool(*arguments: str | Path) -> tuple[int, str]:
    """The exit status, and what was said."""
    ran = subprocess.run(["promtool", *arguments], capture_output=True, text=True, timeout=WATCHDOG_SECONDS, check=False)
    return ran.returncode, ran.stdout + ran.stderr


@needs("promtool")
class Rules(unittest.TestCase):
    def test_the_rules_are_right(self) -> None:
        status, said = promtool("check", "rules", RULES)
        self.assertEqual(status, 0, said)

    def test_each_alert_fires_and_does_not_fire(self) -> None:
        status, said = promtool("test", "rules", RULES_TEST)
        self.assertEqual(status, 0, said)


class Dashboards(unittest.TestCase):
    def test_they_keep_the_rules(self) -> None:
        for name in grafana.NAMES:
            with self.subTest(dashboard=name):
                self.assertEqual(grafana.problems(name, grafana.load(name)), [])

    def test_faults_are_found(self) -> None:
        def fault(change) -> list[str]:
            dashboard = grafana.load("shmetrics")
            change(dashboard["panels"][1], dashboard["templating"]["list"])
            return grafana.problems("shmetrics", dashboard)

        def ask(expression: str):
            return lambda panel, _: panel["targets"][0].update(expr=expression)

        page = '{job=~"$job", instance=~"$instance"}'
        changes = {
            "without a rate": ask(f"sum(shmetrics_overflow_lookups_total{page})"),
            "all instances": ask('shmetrics_series{job=~"$job"}'),
            "not $__rate_interval": ask(f"rate(shmetrics_overflow_lookups_total{page}[5m])"),
            "unknown variables": ask('shmetrics_series{job=~"$job", instance=~"$instance", app=~"$app"}'),
            "unit": lambda panel, _: panel["fieldConfig"]["defaults"].update(unit="parsecs"),
            "on another panel": lambda panel, _: panel["gridPos"].update(x=4),
            "one id": lambda panel, _: panel.update(id=1),
            "the variable job": lambda _, variables: variables[1].update(multi=False),
        }
        for what, change in changes.items():
            with self.subTest(fault=what):
                self.assertIn(what, "".join(fault(change)))

    def test_nothing_is_forgotten(self) -> None:
        self.assertEqual(sorted(path.stem for path in grafana.FOLDER.glob("*.json")), sorted(grafana.NAMES))


class Asked:
    server: type[Prometheus]

    def test_each_query_has_data(self) -> None:
        name = f"monitoring-{os.getpid()}"
        with Demo(name) as demo, exporter(name, "--process-metrics") as port, self.server({"demo": port}) as prometheus:
            demo.load.start()
            try:
                self.assertEqual(grafana.without_data("prefork", prometheus.values), [])
            finally:
                demo.load.stop()
            # Prometheus accepts the queries of nginx, and has no data for them.
            self.assertGreater(len(grafana.without_data("nginx", prometheus.values, seconds=0)), 20)


@needs(Prometheus.program)
class AskedOfPrometheus(Asked, unittest.TestCase):
    server = Prometheus


@needs(NewerPrometheus.program)
class AskedOfNewerPrometheus(Asked, unittest.TestCase):
    server = NewerPrometheus


if __name__ == "__main__":
    main()
