"""Runs a program's tests, names what was skipped, and ends with one line of counts."""

from __future__ import annotations

import shutil
import sys
import unittest


def needs(program: str):
    """A test that cannot be done without a program of other people."""
    return unittest.skipUnless(shutil.which(program), f"{program} is not installed")


class _Result(unittest.TextTestResult):
    def addSubTest(self, test, subtest, error):  # noqa: N802 - unittest's name
        super().addSubTest(test, subtest, error)
        if error is not None and self.showAll:
            self.stream.writeln(f"FAIL {subtest}")


def main() -> None:
    suite = unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"])
    runner = unittest.TextTestRunner(stream=sys.stdout, verbosity=2, resultclass=_Result)
    result = runner.run(suite)
    for test, reason in result.skipped:
        print(f"skipped: {test.id().removeprefix('__main__.')} ({reason})")
    # Several sub-tests of one test may fail: it still is one test. An error outside all tests counts as one, too.
    failed = {getattr(test, "test_case", test).id() for test, _ in result.failures + result.errors}
    passed = result.testsRun - len(result.skipped) - len(failed)
    print(f"{max(passed, 0)} passed, {len(failed)} failed, {len(result.skipped)} skipped", flush=True)
    sys.exit(bool(failed) or result.testsRun == 0)
