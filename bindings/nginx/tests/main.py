"""Runs the tests: main.py [arguments of unittest]."""

import sys
import unittest

from harness import EXPORTER, PROMTOOL, STREAM, VTS, parser

if __name__ == "__main__":
    if not PROMTOOL:
        print("skipped: pages read by promtool (no promtool)")
    if not parser:
        print("skipped: pages read by prometheus_client (not installed)")
    if not STREAM:
        print("skipped: the stream module (the package libnginx-mod-stream is not installed)")
    if not EXPORTER:
        print("skipped: the preset beside the exporter (the package prometheus-nginx-exporter is not installed)")
    if not VTS:
        print("skipped: the preset beside nginx-module-vts (NGINX_VTS names no module file)")
    unittest.main(module=None, verbosity=1, argv=[sys.argv[0], *(sys.argv[1:] or ["discover"])])
