"""The public names of prometheus_client: each is importable from the module of the same name here,
with the same parameters.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys

import prometheus_client
import pytest

import shmetrics

#: Modules and names of prometheus_client that are not here, and why.
MISSING = {
    "prometheus_client.decorator": "a copy of another package, not of its interface",
    "prometheus_client.mmap_dict": "files of the multiprocess mode: there are none",
    "prometheus_client.values": "how metrics keep their values: the native ones are in the segment",
    "prometheus_client.django.exposition": "PrometheusDjangoView is in shmetrics.django",
    "prometheus_client.aiohttp.exposition": "make_aiohttp_handler is in shmetrics.aiohttp",
    "prometheus_client.exposition.SNAPPY_AVAILABLE": "whether another package is installed",
    "prometheus_client.metrics.INF": "it is in shmetrics.utils",
    "prometheus_client.metrics.F": "a type variable",
    "prometheus_client.metrics.T": "a type variable",
    "prometheus_client.context_managers.TYPE_CHECKING": "of typing",
    "prometheus_client.validation.METRIC_NAME_RE": "how names are checked",
    "prometheus_client.validation.METRIC_LABEL_NAME_RE": "how names are checked",
    "prometheus_client.validation.RESERVED_METRIC_LABEL_NAME_RE": "how names are checked",
}
#: Parameters that differ, and why.
PARAMETERS = {
    "_labelvalues": "children are made by labels() alone",
    "metric": "context managers are made by metrics alone",
}
#: Callables with other parameters, and why.
OTHERWISE = {
    "prometheus_client.context_managers.ExceptionCounter": "made by metrics alone",
    "prometheus_client.context_managers.InprogressTracker": "made by metrics alone",
    "prometheus_client.context_managers.Timer": "made by metrics alone",
    "prometheus_client.metrics.MetricWrapperBase": "it has no constructor: it stands for all classes of metrics",
    "prometheus_client.exposition.MetricsHandler": "the standard library's parameters",
    "prometheus_client.exposition.ThreadingWSGIServer": "the standard library's parameters",
    "prometheus_client.registry.Collector": "a protocol of typing",
    "prometheus_client.MetricsHandler": "the standard library's parameters",
    "prometheus_client.twisted.MetricsResource": "a function, where it was a lambda",
}


def modules() -> "list[str]":
    found = [m.name for m in pkgutil.walk_packages(prometheus_client.__path__, "prometheus_client.", onerror=lambda name: None)]
    return ["prometheus_client", *(name for name in found if not name.rpartition(".")[2].startswith("_"))]


def public(module) -> "list[str]":
    """What a module has of its own, or says that it has."""
    package = module.__name__.partition(".")[0]
    names = set(getattr(module, "__all__", ()))
    for name, value in vars(module).items():
        if name.startswith("_") or inspect.ismodule(value):
            continue
        of = getattr(value, "__module__", None)
        is_constant = of is None or isinstance(value, (str, float, tuple))
        if of == module.__name__ or (is_constant and name.isupper()):
            names.add(name)
    assert all(not name.startswith(package) for name in names)
    return sorted(names)


@pytest.mark.parametrize("theirs", modules())
def test_names(theirs):
    if theirs in MISSING:
        return
    if theirs == "prometheus_client.django" and not configured():
        pytest.skip("Django is not installed")
    if theirs.startswith(("prometheus_client.twisted", "prometheus_client.aiohttp")):
        pytest.importorskip(theirs.partition(".")[2])
    peer = importlib.import_module(theirs)
    ours = importlib.import_module(theirs.replace("prometheus_client", "shmetrics", 1))
    missing = [n for n in public(peer) if not hasattr(ours, n) and "%s.%s" % (theirs, n) not in MISSING]
    assert not missing


def configured() -> bool:
    try:
        import django
        from django.conf import settings
    except ImportError:
        return False
    if not settings.configured:
        settings.configure()
        django.setup()
    return True


def shape(of: object) -> "list[tuple[str, object]]":
    return [(p.name, p.kind) for p in inspect.signature(of).parameters.values() if p.name not in PARAMETERS]


@pytest.mark.skipif(sys.version_info < (3, 10), reason="PyO3 has no signatures for 3.9")
@pytest.mark.parametrize("theirs", [m for m in modules() if m not in MISSING and ".django" not in m])
def test_parameters(theirs):
    """Ours may have more, by keyword. Where theirs are by position or keyword and few give them by
    position, by keyword is enough.
    """
    if theirs.startswith(("prometheus_client.twisted", "prometheus_client.aiohttp")):
        pytest.importorskip(theirs.partition(".")[2])
    peer = importlib.import_module(theirs)
    ours = importlib.import_module(theirs.replace("prometheus_client", "shmetrics", 1))
    for name in public(peer):
        value = getattr(peer, name)
        full = "%s.%s" % (theirs, name)
        if not callable(value) or full in OTHERWISE or full in MISSING or issubclass_of(value, tuple, BaseException):
            continue
        mine, peers = shape(getattr(ours, name)), shape(value)
        positional = [p for p in mine if p[1] is inspect.Parameter.POSITIONAL_OR_KEYWORD]
        keywords = {p[0] for p in mine}
        assert {p[0] for p in peers} <= keywords, (full, mine, peers)
        # The buckets and states of metrics stand behind _labelvalues, which no caller gives by
        # position.
        behind = ("buckets", "states") if name in ("Histogram", "Enum") else ()
        expected = [p for p in peers if p[0] not in behind]
        assert [p[0] for p in positional][: len(expected)] == [p[0] for p in expected], (full, mine, peers)


def issubclass_of(value: object, *classes: type) -> bool:
    return isinstance(value, type) and issubclass(value, classes)


def test_top_level(program):
    """In programs of their own, as each import of a module adds its name."""
    listed = "import %s as p\nprint(' '.join(n for n in dir(p) if not n.startswith('_') and hasattr(p, n)))"
    ours, theirs = (set(program(listed % package).split()) for package in ("shmetrics", "prometheus_client"))
    assert {name for name in theirs - ours if "prometheus_client." + name not in MISSING} == set()


def test_star_import():
    names: "dict[str, object]" = {}
    exec("from shmetrics import *", names)
    assert set(prometheus_client.__all__) <= set(names)


def test_nothing_missing_is_there():
    """What is listed above as missing is so, or has to leave the list."""
    for name in MISSING:
        module, _, attribute = name.replace("prometheus_client", "shmetrics", 1).rpartition(".")
        try:
            assert not hasattr(importlib.import_module(module), attribute), name
        except ImportError:
            pass


def test_the_package_needs_no_prometheus_client(program):
    """Only the parsers do, and say so."""
    program(
        """
import sys
sys.modules["prometheus_client"] = None
import shmetrics, pytest
from shmetrics import *
for name in ("core", "metrics", "metrics_core", "registry", "exposition", "openmetrics.exposition", "bridge.graphite", "samples", "utils",
             "validation", "context_managers", "gc_collector", "platform_collector", "process_collector", "multiprocess", "process"):
    __import__("shmetrics." + name)
for name in ("parser", "openmetrics.parser"):
    with pytest.raises(ImportError, match="pip install prometheus_client"):
        __import__("shmetrics." + name)
assert not [name for name in sys.modules if name.startswith("prometheus_client.")]
"""
    )


def test_importing_the_package_brings_no_server(program):
    program(
        """
import sys, shmetrics
later = ["http.server", "ssl", "shmetrics.exposition", "shmetrics._gateway", "platform"]
assert not [name for name in later if name in sys.modules], [name for name in later if name in sys.modules]
assert shmetrics.push_to_gateway.__module__ == "shmetrics._gateway"
"""
    )


def test_parsers_are_handed_over(registry):
    from shmetrics.openmetrics.exposition import generate_latest
    from shmetrics.openmetrics.parser import text_string_to_metric_families as openmetrics
    from shmetrics.parser import text_string_to_metric_families as text

    shmetrics.Counter("c", "help", registry=registry).inc(3)
    for parsed in (text(shmetrics.generate_latest(registry).decode()), openmetrics(generate_latest(registry).decode())):
        assert [s.value for m in parsed for s in m.samples if s.name == "c_total"] == [3]


def test_isinstance_of_the_base_class(registry):
    from shmetrics.metrics import MetricWrapperBase

    assert isinstance(shmetrics.Counter("c", "help", registry=registry), MetricWrapperBase)
    assert issubclass(shmetrics.Enum, MetricWrapperBase) and not isinstance(registry, MetricWrapperBase)
