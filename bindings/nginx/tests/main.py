"""Runs the tests: main.py [arguments of unittest]."""

import sys
import unittest

from harness import PROMTOOL, STREAM, parser

if __name__ == "__main__":
    if not PROMTOOL:
        print("skipped: pages read by promtool (no promtool)")
    if not parser:
        print("skipped: pages read by prometheus_client (not installed)")
    if not STREAM:
        print("skipped: the stream module (the package libnginx-mod-stream is not installed)")
    unittest.main(module=None, verbosity=1, argv=[sys.argv[0], *(sys.argv[1:] or ["discover"])])
