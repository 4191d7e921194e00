"""prometheus_client's own test suite, unmodified from its source distribution: stock, and with the
drop-in.
"""

from __future__ import annotations

import pytest
from suites import HERE, Run, named, problems
from support import SDISTS

SUITE = SDISTS / "prometheus_client-0.26.0" / "tests"
# So many tests that a suite that is not found, or stops half-way, cannot pass for one that is run.
LEAST_TESTS = 315
NOT_APPLICABLE, UNSTABLE = named(HERE / "not_applicable.txt"), named(HERE / "unstable.txt")
# Where the tests run in multiprocess mode.
WHERE = {"where they ask for it": (), "everywhere": ("-p", "everywhere_plugin")}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory, module_shm):
    """Of all four runs, which mostly wait and so go side by side."""
    if not SUITE.is_dir():
        pytest.skip("prometheus_client's source distribution could not be had")
    into = tmp_path_factory.mktemp("suite")
    runs = {
        (backend, where): Run(SUITE, into / f"{backend}-{len(plugin)}", module_shm, backend, *plugin)
        for backend in ("stock", "dropin")
        for where, plugin in WHERE.items()
    }
    return {which: run.wait() for which, run in runs.items()}


@pytest.mark.parametrize("where", WHERE)
def test_the_peer_itself_passes(outcomes, where):
    stock = outcomes["stock", where]
    assert [test for test, outcome in stock.of.items() if outcome == "failed" and test not in UNSTABLE] == [], stock.log
    assert stock.number("passed") >= LEAST_TESTS, stock.log


@pytest.mark.parametrize("where", WHERE)
def test_the_drop_in_passes_all_but_the_named(outcomes, where):
    stock, ours = outcomes["stock", where], outcomes["dropin", where]
    said = problems(stock.of, ours.of, NOT_APPLICABLE, UNSTABLE)
    assert said == [], "\n".join(said) + "\n" + ours.log
    assert ours.number("passed") >= LEAST_TESTS - len(NOT_APPLICABLE), ours.log


def test_a_difference_would_be_noticed():
    fine = {"a": "passed", "b": "passed", "c": "skipped"}
    assert problems(fine, fine, {}, {}) == []
    assert problems(fine, fine | {"a": "failed"}, {}, {}) != []
    assert problems(fine, fine | {"a": "failed"}, {"a": "why"}, {}) == []
    assert problems(fine, fine, {"a": "why"}, {}) != []
    assert problems(fine, {"a": "passed", "c": "skipped"}, {}, {}) != []
    assert problems(fine, fine | {"c": "passed"}, {}, {}) != []
    assert problems(fine, fine, {"d": "why"}, {}) != []
