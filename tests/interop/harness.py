"""Runs a program's tests, names what was skipped, and ends with one line of counts."""

from __future__ import annotations

import shutil
import sys
import unittest


def needs(program: str):
    """A test that cannot be done without a program of other people."""
    return unittest.skipUnless(shutil.which(program), f"{program} is not installed")


class _Result(unittest.TextTestResult):
    """Counts successes itself: Python's versions disagree on whether a skipped test has run."""

    passed = 0

    def addSuccess(self, test: unittest.TestCase) -> None:  # noqa: N802 - unittest's name
        super().addSuccess(test)
        self.passed += 1


def main() -> None:
    """The arguments are names of tests or of classes of them; without any, all are run."""
    loader, module = unittest.defaultTestLoader, sys.modules["__main__"]
    suite = loader.loadTestsFromNames(sys.argv[1:], module) if sys.argv[1:] else loader.loadTestsFromModule(module)
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2, resultclass=_Result).run(suite)
    skipped: dict[tuple[str, str], list[str]] = {}
    for test, reason in result.skipped:
        of, _, name = test.id().removeprefix("__main__.").rpartition(".")
        skipped.setdefault((of, reason), []).append(name)
    for (of, reason), names in skipped.items():  # a line for all of a class
        print(f"skipped: {of + '.' + names[0] if len(names) == 1 else of} ({reason})")
    # Several sub-tests of one test may fail: it still is one test. An error outside all tests
    # counts as one, too.
    failed = {getattr(test, "test_case", test).id() for test, _ in result.failures + result.errors}
    print(f"{result.passed} passed, {len(failed)} failed, {len(result.skipped)} skipped", flush=True)
    sys.exit(bool(failed) or result.passed + len(result.skipped) == 0)
