"""Pages equal those of nginx-lua-prometheus after the same scenario."""

import pathlib
import unittest

from page import lines
from places import HAS_LUA, LISTEN, PEER, PLACE, LuaNginx, eventually

GOLDEN = pathlib.Path(__file__).with_name("golden.txt")
SCENARIO = f'scenario = dofile("{PLACE}/scenario.lua"); metrics = scenario.register(prometheus)'
LOCATIONS = LISTEN + (
    "location = /run { content_by_lua_block { scenario.run(metrics) scenario.refused(prometheus) } } "
    "location = /data { content_by_lua_block { ngx.print(prometheus:metric_data()) } } "
)


@unittest.skipUnless(HAS_LUA, "no Lua in nginx")
class Page(unittest.TestCase):
    maxDiff = None

    def test_page_is_that_of_nginx_lua_prometheus(self):
        with LuaNginx(LOCATIONS, SCENARIO) as nginx:
            nginx.start()
            self.assertEqual(nginx.get("/run").status, 200)
            self.assertEqual(lines(nginx.page()), GOLDEN.read_text().splitlines())
            self.assertEqual(lines(nginx.page("/data")), lines(nginx.page()))

    def test_prefix(self):
        with LuaNginx(LOCATIONS, SCENARIO, options='prefix = "pre_", error_metric_name = "mistakes_total"') as nginx:
            nginx.start()
            self.assertEqual(nginx.get("/run").status, 200)
            found = lines(nginx.page())
            self.assertIn("pre_mistakes_total 14", found)
            self.assertTrue(all(line.removeprefix("# HELP ").removeprefix("# TYPE ").startswith("pre_") for line in found))
            shown = sorted(line.replace("pre_", "").replace("mistakes_total", "nginx_metric_errors_total") for line in found)
            self.assertEqual(shown, GOLDEN.read_text().splitlines())

    @unittest.skipUnless(PEER, "NGINX_LUA_PROMETHEUS does not name its sources")
    def test_golden_page_is_that_of_nginx_lua_prometheus(self):
        with LuaNginx(LOCATIONS, SCENARIO, dictionary="metrics", options="sync_interval = 0.1") as nginx:
            nginx.start()
            self.assertEqual(nginx.get("/run").status, 200)
            # Its workers meet once in `sync_interval`.
            eventually(lambda: lines(nginx.page()) == GOLDEN.read_text().splitlines())
            self.assertEqual(lines(nginx.page()), GOLDEN.read_text().splitlines())


if __name__ == "__main__":
    unittest.main()
