"""Runs the tests: main.py [arguments of unittest]."""

import sys
import unittest

from places import HAS_LUA, MODULE, PEER, STREAM

if __name__ == "__main__":
    if not HAS_LUA:
        print("skipped: Lua in nginx (the packages nginx and libnginx-mod-http-lua are not installed)")
    elif not MODULE:
        print("skipped: Lua beside the modules for nginx (the package nginx-dev is not installed)")
    elif not STREAM:
        print("skipped: Lua beside streams (the package libnginx-mod-stream is not installed)")
    if not PEER:
        print("skipped: the page of nginx-lua-prometheus (NGINX_LUA_PROMETHEUS does not name its sources)")
    unittest.main(module=None, verbosity=1, argv=[sys.argv[0], *(sys.argv[1:] or ["discover"])])
