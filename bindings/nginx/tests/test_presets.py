"""shmetrics_names: families under the names of other programs, with the same values."""

import http.client
import re
import signal
import subprocess
import unittest

from harness import EXPORTER, PAGE, SERVER, VTS, Nginx, eventually, samples, total, valid

REQUEST = b"GET %s HTTP/1.1\r\nHost: shop\r\n\r\n"


def types(page, prefix):
    return {line for line in page.splitlines() if line.startswith((f"# TYPE {prefix}", f"# HELP {prefix}"))}


def ask(client, path):
    """The answer on a connection that stays open."""
    client.sendall(REQUEST % path.encode())
    with http.client.HTTPResponse(client) as response:
        response.begin()
        return response.read().decode()


class Exporter(unittest.TestCase):
    HTTP = """shmetrics_names exporter; shmetrics on; server { listen @SOCKET@; server_name shop; location / { return 200; }
        location = /stub_status { stub_status; } location = /metrics { shmetrics_page; } }"""
    NAMES = {"nginx_up", "nginx_http_requests_total", *(f"nginx_connections_{name}" for name in ("accepted", "handled", "active", "reading", "writing", "waiting"))}

    def test_it_shows_what_stub_status_shows(self):
        with Nginx(self.HTTP) as nginx:
            nginx.start()
            for _ in range(5):
                nginx.get()
            with nginx.connect() as client:
                status = ask(client, "/stub_status")
                page = ask(client, "/metrics")
            valid(self, page)
            found = {name: value for (name, _), value in samples(page).items() if name.startswith("nginx_")}
            accepted, handled, requests, reading, writing, waiting = (int(n) for n in re.findall(r"\d+", status)[1:])
            self.assertEqual(set(found), self.NAMES)
            self.assertEqual(found["nginx_up"], 1)
            self.assertEqual((found["nginx_connections_accepted"], found["nginx_connections_handled"]), (accepted, handled))
            self.assertEqual(found["nginx_http_requests_total"], requests + 1)
            self.assertEqual((found["nginx_connections_reading"], found["nginx_connections_writing"], found["nginx_connections_waiting"]), (reading, writing, waiting))
            self.assertIn("# TYPE nginx_connections_accepted counter", page)
            # Unlike the model, it goes on counting over an upgrade.
            nginx.upgrade()
            with nginx.connect() as client:
                self.assertGreater(samples(ask(client, "/metrics"))["nginx_http_requests_total", frozenset()], requests + 1)

    @unittest.skipUnless(EXPORTER, "no exporter")
    def test_it_equals_the_exporter(self):
        with Nginx(self.HTTP) as nginx:
            nginx.start()
            for _ in range(3):
                nginx.get()
            there = nginx.directory / "exporter.sock"
            options = [f"-nginx.scrape-uri=unix:{nginx.socket}:/stub_status", f"-web.listen-address=unix:{there}", "-nginx.retries=100", "-nginx.retry-interval=1s"]
            with subprocess.Popen([EXPORTER, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as exporter:
                try:
                    self.assertTrue(eventually(there.exists))
                    with nginx.connect() as client, nginx.connect(there) as other:
                        ask(client, "/metrics")
                        ask(other, "/metrics")  # now its connection to nginx is there, and kept
                        eventually(lambda: "nginx_connections_active 2" in ask(client, "/metrics"))
                        theirs = ask(other, "/metrics")
                        ours = ask(client, "/metrics")
                finally:
                    exporter.send_signal(signal.SIGKILL)
            values = [{key: value for key, value in samples(page).items() if key[0].startswith("nginx_")} for page in (theirs, ours)]
            # The request that asked for the page.
            values[1]["nginx_http_requests_total", frozenset()] -= 1
            self.assertEqual(*values)
            self.assertEqual(types(theirs, "nginx_"), types(ours, "nginx_"))


class Change(unittest.TestCase):
    def test_a_reload_may_change_the_names(self):
        with Nginx(SERVER) as nginx:
            nginx.start()
            nginx.get()
            nginx.wait_for(1, "nginx_http_requests_total")
            own = "nginx_http_requests_total", {"location": "root"}
            vts = "nginx_vts_server_requests_total", {"host": "shop", "code": "2xx"}
            exporter = "nginx_http_requests_total", {}
            for names, counters in {"exporter": [exporter], "own vts": [own, vts], "exporter vts": [exporter, vts], "vts": [vts], "own": [own]}.items():
                nginx.configure(f"shmetrics_names {names}; " + SERVER)
                nginx.reload()
                before = nginx.samples()
                for _ in range(5):
                    nginx.get()
                for name, labels in counters:
                    start = total(before, name, **labels)
                    if labels:
                        nginx.wait_for(start + 5, name, **labels)
                    else:  # the pages too
                        self.assertTrue(eventually(lambda name=name, start=start: total(nginx.samples(), name) >= start + 5))
                valid(self, nginx.page())
            self.assertEqual(nginx.told(), [])
            self.assertNotIn("[emerg]", nginx.errors())


class Vts(unittest.TestCase):
    maxDiff = None

    # The cache has one answer for a miss and for two hits; the first peer of the upstream is dead.
    HTTP = """shmetrics_names vts; shmetrics on; shmetrics_buckets 0.005 0.5 60; proxy_cache_path @DIR@/cache keys_zone=cache:1m max_size=10m;
        @VTS@
        upstream app { server unix:@DIR@/nobody.sock max_fails=0; server unix:@DIR@/app.sock; }
        server { listen unix:@DIR@/app.sock; shmetrics off; @OFF@ location / { return 200 hello; } location /bad { return 500; } location /away { return 302 /; } }
        server { listen @SOCKET@ default_server; server_name shop; @STATUS@
            location / { proxy_pass http://app; }
            location /single { proxy_pass http://unix:@DIR@/app.sock:/; }
            location /cached { proxy_cache cache; proxy_cache_valid 200 1h; proxy_pass http://unix:@DIR@/app.sock:/; }
            location /none { return 404; } location /closed { return 444; }
            location = /metrics { shmetrics off; @OFF@ shmetrics_page; } }
        server { listen @SOCKET@; server_name ''; location / { return 204; } }
        server { listen @SOCKET@; server_name api; location / { return 403; } }"""

    def configuration(self, vts="", off="", status=""):
        return self.HTTP.replace("@VTS@", vts).replace("@OFF@", off).replace("@STATUS@", status)

    def load(self, nginx):
        for path in ("/", "/x", "/bad", "/away", "/single", "/cached", "/cached", "/cached", "/none"):
            nginx.get(path, host="shop")
        nginx.send(b"GET /closed HTTP/1.1\r\nHost: shop\r\n\r\n")
        nginx.get(host="api")
        nginx.send(b"GET / HTTP/1.0\r\n\r\n")
        nginx.wait_for(12, "nginx_vts_server_requests_total", host="*")

    def test_families_and_labels(self):
        with Nginx(self.configuration()) as nginx:
            nginx.start()
            self.load(nginx)
            page = nginx.page()
            valid(self, page)
            found = samples(page)
            name = "nginx_vts_server_requests_total"
            self.assertEqual({name for name, _ in found if name.startswith("nginx_") and not name.startswith("nginx_vts_")}, set())
            for host, counts in {"shop": (0, 6, 1, 2, 1), "api": (0, 0, 0, 1, 0), "*": (0, 7, 1, 3, 1)}.items():
                for code, count in zip("12345", counts, strict=True):
                    if host == "shop" and code == "2":
                        count = 7 if total(found, name, host="_") == 0 else 6
                    self.assertEqual(found[name, frozenset({("host", host), ("code", f"{code}xx")})], count, (host, code))
            for host, status, count in (("shop", "miss", 1), ("shop", "hit", 2), ("*", "hit", 2), ("api", "hit", 0)):
                self.assertEqual(found["nginx_vts_server_cache_total", frozenset({("host", host), ("status", status)})], count)
            live = {"upstream": "app", "backend": f"unix:{nginx.directory}/app.sock"}
            self.assertEqual(total(found, "nginx_vts_upstream_requests_total", **live), 4)
            self.assertEqual(total(found, "nginx_vts_upstream_requests_total", code="5xx", **live), 1)
            self.assertEqual(total(found, "nginx_vts_upstream_response_duration_seconds_count", **live), 4)
            dead = total(found, "nginx_vts_upstream_requests_total", upstream="app", backend=f"unix:{nginx.directory}/nobody.sock", code="5xx")
            self.assertGreater(dead, 0)
            self.assertEqual(total(found, "nginx_vts_cache_requests_total", cache_zone="cache", status="hit"), 2)
            self.assertEqual(total(found, "nginx_vts_cache_usage_bytes", cache_zone="cache", cache_size="max"), 10 << 20)
            self.assertGreater(total(found, "nginx_vts_server_bytes_total", host="shop", direction="out"), 500)
            self.assertEqual(total(found, "nginx_vts_server_request_duration_seconds_bucket", host="shop", le="60.0"), total(found, name, host="shop"))
            self.assertEqual(total(found, "nginx_vts_info"), 1)
            self.assertGreaterEqual(total(found, "nginx_vts_main_connections", status="accepted"), 12)

    def test_groups_that_are_off_are_not_there(self):
        with Nginx("shmetrics_names vts; shmetrics_families requests; " + SERVER) as nginx:
            nginx.start()
            nginx.get()
            nginx.wait_for(1, "nginx_vts_server_requests_total", host="shop")
            self.assertEqual({name for name, _ in nginx.samples() if name.startswith("nginx_")}, {"nginx_vts_server_requests_total"})

    def test_beside_the_names_of_this_module(self):
        with Nginx("shmetrics_names own vts; " + SERVER) as nginx:
            nginx.start()
            nginx.get()
            nginx.wait_for(1, "nginx_http_requests_total")
            self.assertEqual(total(nginx.samples(), "nginx_vts_server_requests_total", host="shop"), 1)

    def test_many_peers(self):
        text = "shmetrics_names vts; shmetrics on; server { listen @SOCKET@; server_name shop; location / { proxy_pass http://127.0.0.$arg_n:1; } " + PAGE + "}"
        with Nginx(text) as nginx:
            nginx.start()
            order = [*range(1, 101), *range(100, 0, -1)]
            nginx.send(b"".join(REQUEST % (b"/?n=%d" % n) for n in order) + b"GET /metrics HTTP/1.0\r\n\r\n")
            nginx.wait_for(200, "nginx_vts_server_requests_total", host="shop", code="5xx")
            found = nginx.samples()
            for n in range(1, 101):
                self.assertEqual(total(found, "nginx_vts_upstream_requests_total", upstream="::nogroups", backend=f"127.0.0.{n}:1", code="5xx"), 2, n)

    @unittest.skipUnless(VTS, "no nginx-module-vts")
    def test_it_equals_the_model(self):
        """In one nginx with the model, both count the same requests."""
        vts = "vhost_traffic_status_zone; vhost_traffic_status_histogram_buckets 0.005 0.5 60;"
        off = "vhost_traffic_status off;"
        status = f"location = /vts {{ shmetrics off; {off} vhost_traffic_status_display; vhost_traffic_status_display_format prometheus; }}"
        with Nginx(self.configuration(vts, off, status)) as nginx:
            nginx.config.write_text(f"load_module {VTS};\n" + nginx.config.read_text())
            nginx.start()
            self.load(nginx)
            theirs, ours = nginx.get("/vts", host="shop").body.decode(), nginx.page()

            def comparable(page):
                found = {}
                for (name, labels), value in samples(page).items():
                    labels = {key: str(float(text)) if key == "le" else text for key, text in dict(labels).items()}
                    # The model counts attempts that another one followed, but in no bucket.
                    if name.startswith("nginx_vts_upstream_request_duration") and "nobody" in labels["backend"]:
                        continue
                    if re.match(r"nginx_vts_(main|info|start)|.*_request_seconds$|.*_response_seconds$", name):
                        value, labels = 0, {**labels, "module_version": ""}  # of another moment
                    found[name, frozenset(labels.items())] = round(value, 3)
                return {key: value for key, value in found.items() if key[0].startswith("nginx_vts_") and key[0] != "nginx_vts_main_shm_usage_bytes"}

            self.assertEqual(comparable(ours), comparable(theirs))
            left = {line for line in types(theirs, "nginx_vts_") if "status_code" not in line and "_shm_" not in line}
            # In OpenMetrics, a counter x_seconds_total cannot be beside a gauge x_seconds.
            left = {re.sub(r"(?<=_seconds_total) counter", " gauge", line) for line in left}
            self.assertEqual(types(ours, "nginx_vts_"), left)


class Directive(unittest.TestCase):
    def test_wrong_names(self):
        for text, said in (("shmetrics_names mine;", 'unknown names "mine": they are own, exporter, vts'), ("shmetrics_names own exporter;", "cannot be both"),
                           ("shmetrics_names vts; shmetrics_names own;", "is duplicate"), ("shmetrics_names exporter; shmetrics_counter nginx_http_requests;", "another metric")):
            with self.subTest(text=text), Nginx(text + SERVER) as nginx:
                nginx.refused(self, said)
