"""The base class that the tests of prometheus_flask_exporter import, and that their source
distribution does not have.
"""

from __future__ import annotations

import importlib.metadata
import re
import unittest

import flask
import prometheus_client
from prometheus_client.parser import text_string_to_metric_families
from prometheus_flask_exporter import PrometheusMetrics


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


class BaseTestCase(unittest.TestCase):
    def setUp(self) -> None:
        prometheus_client.REGISTRY = prometheus_client.CollectorRegistry(auto_describe=True)
        self.app = flask.Flask(__name__)
        self.app.testing = True
        self.client = self.app.test_client()

    def metrics(self, **options):
        return PrometheusMetrics(self.app, **{"registry": None, **options})

    def _values(self, name: str, labels: tuple, endpoint: str = "/metrics") -> list[str]:
        """The values of the samples with this name and exactly these labels."""
        response = self.client.get(endpoint)
        self.assertEqual(response.status_code, 200)
        wanted = {label: str(value) for label, value in labels}
        families = text_string_to_metric_families(response.text)
        return [str(s.value) for family in families for s in family.samples if s.name == name and s.labels == wanted]

    def assertMetric(self, name: str, value, *labels, **where) -> None:
        """`value` is a regular expression for the beginning of the value."""
        found = self._values(name, labels, **where)
        self.assertTrue(any(re.match(str(value), one) for one in found), f"{name}{labels}: {found}, not {value}")

    def assertAbsent(self, name: str, *labels, **where) -> None:
        self.assertEqual(self._values(name, labels, **where), [], f"{name}{labels}")

    def assumeMinimumFlaskVersion(self, version: str) -> None:
        if _numbers(importlib.metadata.version("flask")) < _numbers(version):
            self.skipTest(f"Flask is older than {version}")

    def assumeBeforeFlaskVersion(self, version: str) -> None:
        if _numbers(importlib.metadata.version("flask")) >= _numbers(version):
            self.skipTest(f"Flask is not older than {version}")
