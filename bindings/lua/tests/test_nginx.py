"""The module in nginx: exact counts through reloads and killed workers, one page for all, and an
nginx that serves whatever happens to the segment."""

import pathlib
import re
import unittest

from places import HAS_LUA, LISTEN, MODULE, PLACE, REGISTER, SERVER, STREAM, Load, LuaNginx, eventually, samples, total

REQUESTS = "nginx_http_requests_total"
# Counts before the answer: what was answered was counted.
FIRST = LISTEN + 'location / { content_by_lua_block { requests:inc(1, {ngx.var.server_name, 200}) ngx.print("ok") } } '


@unittest.skipUnless(HAS_LUA, "no Lua in nginx")
class Counting(unittest.TestCase):
    def test_all_workers_count_at_once(self):
        with LuaNginx() as nginx:
            nginx.start()
            for _ in range(40):
                self.assertEqual(nginx.get().status, 200)
            nginx.wait_for(40, REQUESTS, host="shop", status="200")
            nginx.wait_for(40, "nginx_http_request_duration_seconds_count", host="shop")
            answer = nginx.get("/metrics")
            self.assertEqual(answer.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8")
            self.assertEqual(total(nginx.samples(), "nginx_metric_errors_total"), 0)
            self.assertEqual(nginx.logged(), [])

    def test_killed_workers_lose_nothing(self):
        with LuaNginx(FIRST) as nginx:
            nginx.start()
            with Load(nginx, 2) as load:
                for _ in range(30):
                    before = total(nginx_samples(nginx), REQUESTS)
                    nginx.kill_worker()
                    self.assertGreaterEqual(total(nginx_samples(nginx), REQUESTS), before)
            self.assertGreater(load.answered, 30)
            counted = total(nginx.samples(), REQUESTS)
            self.assertTrue(load.answered <= counted <= load.sent, (load.answered, counted, load.sent))

    def test_reloads_and_an_upgrade_lose_nothing(self):
        for phase in ("init_worker", "init"):
            with self.subTest(phase=phase), LuaNginx(FIRST, phase=phase) as nginx:
                nginx.start()
                with Load(nginx, 2) as load:
                    for _ in range(3):
                        nginx.reload()
                    nginx.upgrade()
                    nginx.reload()
                self.assertEqual(load.sent, load.answered)
                self.assertEqual(total(nginx.samples(), REQUESTS), load.sent)
                self.assertEqual(nginx.logged(), [])

    def test_a_reload_may_change_labels_and_buckets(self):
        before = 'c = prometheus:counter("c", "Help.", {"a"}) h = prometheus:histogram("h", "Help.", nil, {1, 2})'
        after = 'c = prometheus:counter("c", "Help.", {"a", "b"}) h = prometheus:histogram("h", "Help.", nil, {1, 2, 3})'
        count = LISTEN + 'location / { content_by_lua_block { c:inc(1, {VALUES}) h:observe(1) ngx.print("ok") } } '
        with LuaNginx(count.replace("VALUES", '"x"'), before) as nginx:
            nginx.start()
            nginx.get()
            self.assertEqual(total(nginx.samples(), "c", a="x"), 1)
            nginx.configure(count.replace("VALUES", '"x", "y"'), after)
            nginx.reload()
            nginx.get()
            nginx.get()
            self.assertEqual(total(nginx.samples(), "c", a="x", b="y"), 2)
            self.assertEqual(total(nginx.samples(), "h_bucket", le="3"), 2)
            self.assertEqual(total(nginx.samples(), "nginx_metric_errors_total"), 0)

    def test_removal_by_one_worker_is_seen_by_all(self):
        count = LISTEN + (
            'location / { content_by_lua_block { requests:inc(1, {"shop", 200}) ngx.print("ok") } } '
            'location = /del { content_by_lua_block { requests:del({"shop", 200}) } } location = /reset { content_by_lua_block { requests:reset() } } '
        )
        with LuaNginx(count) as nginx:
            nginx.start()
            for path in ("/del", "/reset") * 5:
                for _ in range(8):
                    nginx.get()
                self.assertEqual(total(nginx.samples(), REQUESTS), 8)
                nginx.get(path)
                self.assertEqual(total(nginx.samples(), REQUESTS), 0)

    def test_a_test_of_the_configuration_makes_nothing(self):
        for phase in ("init_worker", "init"):
            with self.subTest(phase=phase), LuaNginx(phase=phase) as nginx:
                self.assertEqual(nginx.test()[0], True)
                self.assertEqual(list(nginx.shm.iterdir()), [])


def nginx_samples(nginx):
    """The samples, also while workers are killed."""
    found = []

    def page():
        try:
            answer = nginx.get("/metrics")
        except OSError:
            return False
        found[:] = [samples(answer.body.decode())]
        return answer.status == 200

    assert eventually(page), nginx.errors()
    return found[0]


@unittest.skipUnless(HAS_LUA, "no Lua in nginx")
class Guide(unittest.TestCase):
    def test_the_configuration_of_the_guide(self):
        guide = (pathlib.Path(__file__).resolve().parents[3] / "docs/lua.md").read_text()
        http = re.search(r"```nginx\n *http \{\n(.*?)```", guide, re.S)[1]
        with LuaNginx() as nginx:
            for said, ours in (("/usr/local/share/shmetrics/lua", str(PLACE)), ('"shop"', f'"{nginx.segment}"'), ("127.0.0.1:9145", f"unix:{nginx.socket}")):
                self.assertEqual(http.count(said), 1, said)
                http = http.replace(said, ours)
            nginx.config.write_text(nginx.config.read_text().partition("lua_package_path")[0] + http)
            nginx.start()
            nginx.page()
            # Requests for the page are counted too, each after its answer.
            self.assertTrue(eventually(lambda: total(nginx.samples(), REQUESTS, status="200") >= 2))
            found = nginx.samples()
            self.assertGreaterEqual(total(found, "nginx_http_request_duration_seconds_count"), 2)
            self.assertGreaterEqual(total(found, "nginx_http_connections", state="active"), 1)
            self.assertEqual(total(found, "nginx_metric_errors_total"), 0)
            self.assertEqual(nginx.logged(), [])


@unittest.skipUnless(HAS_LUA and MODULE, "no modules for nginx")
class OnePage(unittest.TestCase):
    def test_requests_and_sessions_of_the_modules_and_of_lua(self):
        stream = "server { listen unix:@DIR@/stream.sock; shmetrics on; return ok; }" if STREAM else ""
        # The module has metrics of the names that SERVER uses.
        servers, register = ("shmetrics on; " + SERVER.replace("location / {", "location / { shmetrics_location root; "), REGISTER.replace("nginx_http", "lua_http"))
        for phase in ("init_worker", "init"):
            with self.subTest(phase=phase), LuaNginx(servers, register, phase=phase, shmetrics="shmetrics_zone @SEGMENT@;", stream=stream) as nginx:
                nginx.start()
                for _ in range(10):
                    nginx.get()
                if STREAM:
                    for _ in range(5):
                        with nginx.connect(nginx.directory / "stream.sock") as client:
                            self.assertEqual(client.recv(100), b"ok")
                    nginx.wait_for(5, "nginx_stream_sessions_total")
                nginx.wait_for(10, "lua_http_requests_total", host="shop")
                nginx.wait_for(10, "nginx_http_requests_total", server="shop", location="root")
                self.assertEqual(total(nginx.samples(), "nginx_metric_errors_total"), 0)
                # One copy of the library, which the module has loaded.
                maps = pathlib.Path(f"/proc/{nginx.workers()[0]}/maps").read_text()
                self.assertEqual(len(set(re.findall(r"\S+libshmetrics\S*", maps))), 1, maps)
                self.assertEqual(nginx.logged(), [])


@unittest.skipUnless(HAS_LUA, "no Lua in nginx")
class Faults(unittest.TestCase):
    """nginx serves requests, whatever happens to the segment."""

    def test_a_foreign_file(self):
        for phase in ("init_worker", "init"):
            with self.subTest(phase=phase), LuaNginx(phase=phase) as nginx:
                nginx.segment.write_text("not a segment")
                nginx.start()
                self.assertEqual(nginx.get().body, b"ok")
                answer = nginx.get("/metrics")
                self.assertEqual(answer.status, 503)
                self.assertIn(b"segment", answer.body)
                self.assertTrue([line for line in nginx.logged() if "prometheus.lua" in line])

    def test_a_segment_without_room(self):
        servers = LISTEN + 'location / { content_by_lua_block { for i = 1, 500 do requests:inc(1, {("x"):rep(300) .. ngx.var.arg_host .. i, 200}) end ngx.print("ok") } } '
        with LuaNginx(servers, options='max_size = "512k"') as nginx:
            nginx.start()
            for i in range(10):
                self.assertEqual(nginx.get(f"/?host={i}").body, b"ok")
            found = nginx.samples()
            self.assertEqual(total(found, REQUESTS), 5000)
            self.assertGreater(total(found, REQUESTS, shmetrics_overflow="true"), 0)
            self.assertEqual(nginx.logged(), [])

    def test_requests_while_a_page_is_read_slowly(self):
        servers = LISTEN + (
            'location = /fill { content_by_lua_block { for i = 1, 20000 do requests:inc(1, {"a long name of a host " .. i, 200}) end } } '
            'location / { content_by_lua_block { ngx.print("ok") } } '
        )
        with LuaNginx(servers) as nginx:
            nginx.start()
            self.assertEqual(nginx.get("/fill").status, 200)
            for _ in range(6):  # three for each worker
                slow = nginx.connect()
                slow.sendall(b"GET /metrics HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n")
                self.assertTrue(slow.recv(1000).startswith(b"HTTP/1.1 200"))
                for _ in range(4):
                    self.assertEqual(nginx.get().body, b"ok")
                slow.close()  # before the end
            self.assertEqual(nginx.get("/metrics", method="HEAD").status, 200)
            found = nginx.samples()
            self.assertEqual(total(found, REQUESTS), 20000)
            self.assertEqual(nginx.logged(), [])

    def test_a_module_that_a_request_is_the_first_to_load(self):
        servers = """server { listen @SOCKET@; location = /metrics { content_by_lua_block {
            local p = require("prometheus").init("SEGMENT", "late_")
            p:counter("c", "Help.", {"a"}):inc(1, {"x"})
            p:counter("c", "A duplicate.")
            p:collect()
        } } """
        with LuaNginx(servers, "") as nginx:
            text = nginx.config.read_text().replace("SEGMENT", str(nginx.segment))
            nginx.config.write_text(re.sub(r"init_worker_by_lua_block \{.*?\n    \}\n", "", text, flags=re.S))
            self.assertNotIn("init_worker", nginx.config.read_text())
            nginx.start()
            nginx.page()
            found = nginx.samples()
            self.assertEqual(total(found, "late_c", a="x"), 2)
            self.assertEqual(total(found, "late_nginx_metric_errors_total"), 2)
            self.assertEqual(len([line for line in nginx.logged() if "Duplicate metric c" in line]), 2)

    def test_phases_that_cannot_wait(self):
        servers = "server { listen @SOCKET@; location = /metrics { content_by_lua_block { prometheus:collect() } } location / { return 200 ok; " + (
            "header_filter_by_lua_block { lines = #prometheus:metric_data() requests:inc(1, {1, 2}) } log_by_lua_block { requests:inc(1, {1, 2}) prometheus:metric_data() } } "
        )
        with LuaNginx(servers) as nginx:
            nginx.start()
            self.assertEqual(nginx.get().body, b"ok")
            nginx.wait_for(2, REQUESTS)
            self.assertEqual(nginx.logged(), [])


if __name__ == "__main__":
    unittest.main()
