"""What is counted, in the installed nginx."""

import os
import shutil
import subprocess
import unittest

from harness import PAGE, SERVER, Nginx, eventually, samples, tls_context, total, valid


class Counting(unittest.TestCase):
    def test_requests_by_server_location_method_and_status(self):
        http = """shmetrics on;
        server { listen @SOCKET@ default_server; server_name shop www.shop;
            location / { shmetrics_location root; return 200 ok; }
            location /plain/ { return 204; }
            location /off/ { shmetrics off; return 200; }
            location /gone { shmetrics_location gone; return 410; location /gone/inner { return 404; } }
            """ + PAGE + """ }
        server { listen @SOCKET@; server_name api; shmetrics_server backend; shmetrics_location all; return 302 /; }"""
        with Nginx(http) as nginx:
            nginx.start()
            for _ in range(3):
                nginx.get("/")
            nginx.get("/", "POST")
            nginx.get("/", "PROPFIND")
            nginx.get("/", "BREW")
            nginx.get("/", "G-T")
            nginx.get("/plain/")
            nginx.get("/off/")
            nginx.get("/gone")
            nginx.get("/gone/inner")
            nginx.get("/", host="api")
            nginx.send(b"nonsense\r\n\r\n")
            nginx.wait_for(12, "nginx_http_requests_total")
            page = nginx.page()
            valid(self, page)
            found = samples(page)
            name = "nginx_http_requests_total"
            self.assertEqual(total(found, name, server="shop", location="root", method="GET", status="200"), 3)
            self.assertEqual(total(found, name, server="shop", location="root", method="POST", status="200"), 1)
            self.assertEqual(total(found, name, server="shop", location="root", method="PROPFIND"), 1)
            self.assertEqual(total(found, name, method="other"), 3)
            self.assertEqual(total(found, name, server="shop", location="", status="204"), 1)
            self.assertEqual(total(found, name, location="gone", status="410"), 1)
            self.assertEqual(total(found, name, location="gone", status="404"), 1)
            self.assertEqual(total(found, name, server="backend", location="all", method="GET", status="302"), 1)
            self.assertEqual(total(found, "nginx_http_request_duration_seconds_count"), 12)
            self.assertEqual(total(found, "nginx_http_request_duration_seconds_bucket", le="+Inf"), 12)
            nginx.wait_for_gauge(0, "nginx_http_requests_in_progress")

    def test_bytes_and_status_classes(self):
        http = "shmetrics_status class; shmetrics_buckets 0.5 1 native=1.2; " + SERVER
        with Nginx(http) as nginx:
            nginx.start()
            request = b"GET / HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n"
            sent = len(nginx.send(request))
            nginx.wait_for(1, "nginx_http_requests_total", status="2xx")
            found = nginx.samples()
            self.assertEqual(total(found, "nginx_http_received_bytes_total", server="shop", location="root"), len(request))
            self.assertEqual(total(found, "nginx_http_sent_bytes_total", server="shop", location="root"), sent)
            bounds = {dict(labels)["le"] for (name, labels) in found if name == "nginx_http_request_duration_seconds_bucket"}
            self.assertEqual(bounds, {"0.5", "1.0", "+Inf"})

    def test_groups_that_are_off_are_not_there(self):
        with Nginx("shmetrics_families requests tls; " + SERVER) as nginx:
            nginx.start()
            nginx.get()
            nginx.wait_for(1, "nginx_http_requests_total")
            names = {name for name, _ in nginx.samples() if name.startswith("nginx_")}
            self.assertEqual(names, {"nginx_http_requests_total"})
            self.assertIn("# TYPE nginx_http_tls_handshakes_total counter", nginx.page())
            nginx.configure("shmetrics_families -upstream -connections -duration; " + SERVER)
            self.assertTrue(nginx.test()[0])

    def test_upstreams_and_cache(self):
        http = """shmetrics on; proxy_cache_path @DIR@/cache keys_zone=cache:1m;
        upstream app { server unix:@DIR@/nobody.sock max_fails=0; server unix:@DIR@/app.sock; }
        server { listen unix:@DIR@/app.sock; shmetrics off; location / { return 200 hello; } location /bad { return 500; } }
        server { listen @SOCKET@; server_name shop;
            location / { shmetrics_location proxied; proxy_pass http://app; }
            location /cached { shmetrics_location cached; proxy_cache cache; proxy_cache_valid 200 1h; proxy_pass http://unix:@DIR@/app.sock:/; }
            """ + PAGE + "}"
        with Nginx(http) as nginx:
            nginx.start()
            for _ in range(4):
                self.assertEqual(nginx.get("/").body, b"hello")
            self.assertEqual(nginx.get("/bad").status, 500)
            for _ in range(3):
                nginx.get("/cached")
            nginx.wait_for(8, "nginx_http_requests_total")
            found = nginx.samples()
            up = "nginx_http_upstream_"
            live = f"unix:{nginx.directory}/app.sock"
            dead = f"unix:{nginx.directory}/nobody.sock"
            self.assertEqual(total(found, up + "requests_total", upstream="app", peer=live, status="200"), 4)
            self.assertEqual(total(found, up + "requests_total", upstream="app", peer=live, status="500"), 1)
            retries = total(found, up + "requests_total", upstream="app", peer=dead, status="502")
            self.assertGreater(retries, 0)
            self.assertEqual(total(found, up + "retries_total", upstream="app"), retries)
            for part in ("connect", "header", "response"):
                self.assertEqual(total(found, f"{up}{part}_duration_seconds_count", upstream="app", peer=live), 5)
            self.assertEqual(total(found, up + "connect_duration_seconds_count", upstream="app", peer=dead), 0)
            self.assertGreater(total(found, up + "received_bytes_total", upstream="app", peer=live), 500)
            self.assertGreater(total(found, up + "sent_bytes_total", upstream="app", peer=live), 100)
            self.assertEqual(total(found, "nginx_http_cache_requests_total", server="shop", location="cached", status="miss"), 1)
            self.assertEqual(total(found, "nginx_http_cache_requests_total", server="shop", location="cached", status="hit"), 2)

    def test_upstreams_of_a_redirected_request(self):
        """Each attempt has its own upstream, not that of the last one."""
        http = """shmetrics on; upstream one { server unix:@DIR@/dead.sock; server unix:@DIR@/gone.sock; } upstream two { server unix:@DIR@/app.sock; }
        upstream three { server unix:@DIR@/dead.sock; }
        server { listen unix:@DIR@/app.sock; shmetrics off; location / { return 200 app; } location /sent { add_header X-Accel-Redirect /second; return 200; } }
        server { listen @SOCKET@; server_name shop; error_page 502 504 = @two; recursive_error_pages on; FAMILIES
            location / { proxy_pass http://one; }
            location @two { proxy_pass http://two; }
            location /sent { proxy_pass http://two; }
            location /second { proxy_pass http://three; }
            """ + PAGE + "}"
        for families in ("", "shmetrics_families upstream requests;"):
            with self.subTest(families=families), Nginx(http.replace("FAMILIES", families)) as nginx:
                nginx.start()
                self.assertEqual(nginx.get("/").body, b"app")
                self.assertEqual(nginx.get("/sent").body, b"app")
                nginx.wait_for(2, "nginx_http_requests_total")
                found = nginx.samples()
                attempts = {}
                for (name, labels), value in found.items():
                    if name == "nginx_http_upstream_requests_total":
                        labels = dict(labels)
                        attempts[labels["upstream"], labels["peer"].rpartition("/")[2], labels["status"]] = value
                self.assertEqual(attempts, {("one", "dead.sock", "502"): 1, ("one", "gone.sock", "502"): 1, ("two", "app.sock", "200"): 3, ("three", "dead.sock", "502"): 1})
                self.assertEqual(total(found, "nginx_http_upstream_retries_total", upstream="one"), 1)
                self.assertEqual(total(found, "nginx_http_upstream_retries_total"), 1)

    def test_many_peers(self):
        http = """shmetrics on; server { listen @SOCKET@; server_name shop; """ + PAGE + """
            location / { proxy_pass http://127.0.0.$arg_n:1; } }"""
        with Nginx(http) as nginx:
            nginx.start()
            order = [*range(1, 101), *range(100, 0, -1), *range(1, 101)]
            nginx.send(b"".join(b"GET /?n=%d HTTP/1.1\r\nHost: shop\r\n\r\n" % n for n in order) + b"GET /metrics HTTP/1.0\r\n\r\n")
            nginx.wait_for(300, "nginx_http_requests_total", status="502")
            found = nginx.samples()
            for n in range(1, 101):
                labels = {"upstream": f"127.0.0.{n}", "peer": f"127.0.0.{n}:1"}
                self.assertEqual(total(found, "nginx_http_upstream_requests_total", status="502", **labels), 3, n)
            self.assertEqual(total(found, "nginx_http_upstream_retries_total"), 0)

    def test_connections(self):
        with Nginx(SERVER) as nginx:
            nginx.start()
            before = nginx.samples()
            idle = [nginx.connect() for _ in range(5)]
            for client in idle:
                client.sendall(b"GET / HTTP/1.1\r\nHost: shop\r\n\r\n")
                client.recv(4096)
            after = nginx.samples()
            # Five here, and the one that the page came by.
            for name in ("accepted", "handled"):
                name = f"nginx_connections_{name}_total"
                self.assertEqual(total(after, name) - total(before, name), 6)
            states = {"active": 6, "reading": 0, "waiting": 5, "writing": 1}

            def now():
                found = nginx.samples()
                return {state: total(found, "nginx_connections", state=state) for state in states}

            eventually(lambda: now() == states)  # an earlier connection may still be closing
            self.assertEqual(now(), states)
            for client in idle:
                client.close()

    def test_in_progress(self):
        http = """shmetrics on; server { listen @SOCKET@; server_name shop; """ + PAGE + """
            location / { client_body_timeout 30s; proxy_pass http://unix:@DIR@/nobody.sock; } }"""
        with Nginx(http) as nginx:
            nginx.start()
            clients = [nginx.connect() for _ in range(7)]
            for client in clients:
                client.sendall(b"POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 5\r\n\r\n")
            nginx.wait_for_gauge(7, "nginx_http_requests_in_progress", server="shop")
            for client in clients[:3]:
                client.close()
            self.assertTrue(eventually(lambda: total(nginx.samples(), "nginx_http_requests_in_progress") == 4))
            nginx.kill_workers()
            nginx.wait_for_gauge(0, "nginx_http_requests_in_progress")
            for client in clients[3:]:
                client.close()

    def test_tls(self):
        http = """shmetrics on; server { listen unix:@DIR@/tls.sock ssl http2; server_name shop;
            ssl_certificate @DIR@/cert.pem; ssl_certificate_key @DIR@/key.pem; ssl_session_cache shared:tls:1m; ssl_protocols TLSv1.2;
            location / { return 200 ok; } } server { listen @SOCKET@; """ + PAGE + "}"
        with Nginx(http) as nginx:
            if not nginx.certify():
                print("skipped: TLS (no openssl)")
                return
            nginx.start()
            context = tls_context()
            session = None
            for _ in range(2):
                with context.wrap_socket(nginx.connect(nginx.directory / "tls.sock"), session=session) as client:
                    for _ in range(2):
                        client.sendall(b"GET / HTTP/1.1\r\nHost: shop\r\n\r\n")
                        self.assertIn(b"200 OK", client.recv(4096))
                    session = client.session
            requests = 4
            name = "nginx_http_tls_handshakes_total"
            nginx.wait_for(requests, "nginx_http_requests_total", server="shop")
            found = nginx.samples()
            self.assertEqual(total(found, name, server="shop", protocol="TLSv1.2", reused="false"), 1)
            self.assertEqual(total(found, name, server="shop", protocol="TLSv1.2", reused="true"), 1)
            if shutil.which("curl"):
                url = ["https://shop/a", "-o", "/dev/null", "https://shop/b", "-o", "/dev/null", "https://shop/c", "-o", "/dev/null"]
                subprocess.run(["curl", "-sk", "--http2", "--unix-socket", nginx.directory / "tls.sock", *url], check=True)
                nginx.wait_for(requests + 3, "nginx_http_requests_total", server="shop")
                # three requests on one connection
                self.assertEqual(total(nginx.samples(), name, server="shop"), 3)

    def test_detours_are_one_request(self):
        http = """shmetrics on; shmetrics_counter seen;
        server { listen unix:@DIR@/app.sock; shmetrics off; location / { return 200 app; } location /bad { return 503; } }
        server { listen @SOCKET@; server_name shop; error_page 404 /missing; error_page 502 503 = @fallback;
            location / { shmetrics_location root; root @DIR@; try_files $uri @app; log_subrequest on; }
            location /missing { shmetrics_location missing; return 404 gone; }
            location @app { shmetrics_location app; proxy_pass http://unix:@DIR@/app.sock; proxy_intercept_errors on; }
            location @fallback { shmetrics_location fallback; return 200 sorry; }
            location /auth { shmetrics_location auth; auth_request /check; proxy_pass http://unix:@DIR@/app.sock:/; }
            location /check { log_subrequest on; internal; proxy_pass http://unix:@DIR@/app.sock:/; }
            location /mirrored { shmetrics_location mirrored; mirror /check; proxy_pass http://unix:@DIR@/app.sock:/; }
            location /rewritten { rewrite ^ /other last; }
            location /other { shmetrics_location other; if ($arg_x) { return 403; } proxy_pass http://unix:@DIR@/nobody.sock; }
            location /closed { shmetrics_location closed; return 444; }
            location /ssi { shmetrics_location ssi; ssi on; ssi_types text/plain; proxy_pass http://unix:@DIR@/ssi.sock; }
            """ + PAGE + """ }
        server { listen unix:@DIR@/ssi.sock; shmetrics off;
            location / { default_type text/plain; return 200 '<!--#include virtual="/auth" --><!--#include virtual="/metrics" -->'; } }"""
        with Nginx(http) as nginx:
            nginx.start()
            expected = {}
            for path, location, status in (("/x", "app", 200), ("/bad", "fallback", 200), ("/auth", "auth", 200), ("/mirrored", "mirrored", 200),
                                           ("/rewritten", "fallback", 200), ("/rewritten?x=1", "other", 403), ("/check", "missing", 404),
                                           ("/closed", "closed", 444), ("/ssi", "ssi", 200)):
                answer = nginx.send(f"GET {path} HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n".encode())
                self.assertTrue(status == 444 or answer.startswith(b"HTTP/1.1 %d" % status), (path, answer))
                expected[location, str(status)] = expected.get((location, str(status)), 0) + 1
            nginx.wait_for(9, "nginx_http_requests_total", server="shop")
            found = nginx.samples()
            for (location, status), count in expected.items():
                self.assertEqual(total(found, "nginx_http_requests_total", location=location, status=status), count, (location, status))
            self.assertEqual(total(found, "nginx_http_request_duration_seconds_count"), 9)
            nginx.wait_for_gauge(0, "nginx_http_requests_in_progress")
            self.assertNotIn("exited on signal", nginx.errors())

    def test_keepalive_and_pipelines(self):
        with Nginx(SERVER) as nginx:
            nginx.start()
            one = b"GET / HTTP/1.1\r\nHost: shop\r\n\r\n"
            last = b"GET / HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n"
            sent = len(nginx.send(one * 20 + last))
            nginx.wait_for(21, "nginx_http_requests_total", status="200")
            found = nginx.samples()
            self.assertEqual(total(found, "nginx_http_sent_bytes_total"), sent)
            self.assertEqual(total(found, "nginx_http_received_bytes_total"), len(one * 20 + last))

    def test_custom_metrics(self):
        http = """shmetrics_counter requests_by_kind_total kind=all;
        shmetrics_counter orders kind=$arg_kind shop=main "help=All orders." if=$arg_order;
        map $arg_n $weird { default $arg_n; }
        server { listen @SOCKET@; """ + PAGE + """
            location / { return 200;
                shmetrics_counter bytes_total value=$weird;
                shmetrics_histogram basket_value value=$arg_v buckets=1,10,100 help=Baskets.;
                shmetrics_gauge queue_length value=$arg_q name=$arg_kind; } }"""
        with Nginx(http) as nginx:
            nginx.start()
            nginx.get("/?kind=a&order=1&v=5&q=7&n=10")
            nginx.get("/?kind=a&order=1&v=50&q=-3.5&n=0.5")
            nginx.get("/?kind=b&order=0&v=words&q=1e3")
            nginx.get("/?kind=b&order=2&v=0x10&n=-1")
            nginx.wait_for(4, "requests_by_kind_total", kind="all")
            found = nginx.samples()
            self.assertEqual(total(found, "orders_total", kind="a", shop="main"), 2)
            self.assertEqual(total(found, "orders_total", kind="b"), 1)
            self.assertEqual(total(found, "bytes_total"), 10.5)
            self.assertEqual(total(found, "basket_value_sum"), 55)
            self.assertEqual(total(found, "basket_value_bucket", le="10.0"), 1)
            self.assertEqual(total(found, "queue_length", name="a"), -3.5)
            self.assertEqual(total(found, "queue_length", name="b"), 1000)
            self.assertEqual(total(found, "nginx_http_metric_errors_total", metric="basket_value"), 2)
            self.assertEqual(total(found, "nginx_http_metric_errors_total", metric="bytes_total"), 1)
            self.assertIn("# HELP orders_total All orders.", nginx.page())

    def test_limits_overflow(self):
        http = "shmetrics_counter visits max_series=3 who=$arg_w; " + SERVER
        with Nginx(http) as nginx:
            nginx.start()
            for i in range(10):
                nginx.get(f"/?w={i}")
            self.assertTrue(eventually(lambda: total(nginx.samples(), "visits_total", shmetrics_overflow="true") >= 7))
            found = nginx.samples()
            self.assertEqual(len([1 for name, _ in found if name == "visits_total"]), 4)

    def remove(self, nginx, counter, *labels):
        self.assertEqual(subprocess.run([os.environ["NGINX_REMOVE"], nginx.segment, counter, *labels], check=False).returncode, 0)

    def test_removed_series_come_back(self):
        custom = "shmetrics_counter one kind=a; shmetrics_counter two kind=a; shmetrics_counter three kind=$arg_k; shmetrics_counter four kind=$arg_k;"
        with Nginx(SERVER.replace("return 200 ok;", custom + "return 200 ok;")) as nginx:
            nginx.start()
            nginx.get("/?k=x")
            nginx.wait_for(1, "four_total", kind="x")
            self.remove(nginx, "nginx_http_requests", "server", "location", "method", "status")
            # The other members of a bundle go with it.
            self.remove(nginx, "nginx_http_received_bytes", "server", "location")
            self.remove(nginx, "two", "kind")
            self.remove(nginx, "three", "kind")
            found = nginx.samples()
            for name in ("nginx_http_requests", "nginx_http_sent_bytes", "one", "two", "three", "four"):
                self.assertEqual(total(found, name + "_total"), 0, name)
            for _ in range(4):
                nginx.get("/?k=x")
            nginx.wait_for(4, "nginx_http_requests_total")
            nginx.wait_for(4, "four_total", kind="x")
            found = nginx.samples()
            for name in ("one", "two", "three"):
                self.assertEqual(total(found, name + "_total"), 4, name)
            self.assertEqual(total(found, "nginx_http_request_duration_seconds_count", location="root"), 5)
            self.assertGreater(total(found, "nginx_http_sent_bytes_total", location="root"), 4 * 100)

    def test_custom_metrics_with_equal_labels(self):
        """They are a bundle, which must not show: neither values of others, nor values that are not there."""
        http = """shmetrics_exemplar id=$arg_id;
        server { listen @SOCKET@; """ + PAGE + """
            location /a { return 200;
                shmetrics_counter visits kind=$arg_k shop=main;
                shmetrics_histogram sizes kind=$arg_k shop=main value=$arg_v buckets=1,10;
                shmetrics_gauge level kind=$arg_k shop=main value=$arg_g;
                shmetrics_counter paid kind=$arg_k shop=main if=$arg_p value=$arg_v;
                shmetrics_counter other kind=$arg_o shop=main;
                shmetrics_histogram always value=2 native; shmetrics_counter everywhere; }
            location /b { return 200; shmetrics_counter visits kind=$arg_k shop=main; shmetrics_counter everywhere; } }"""
        with Nginx(http) as nginx:
            nginx.start()
            nginx.get("/a?k=x&v=5&g=1&p=1&o=y")
            nginx.get("/a?k=x&v=50&p=0&o=y&id=7")
            nginx.get("/a?k=z&v=words")
            nginx.get("/b?k=x&v=1&g=1&p=1&o=w")
            nginx.wait_for(4, "everywhere_total")
            page = nginx.page()
            valid(self, page)
            found = samples(page)
            self.assertEqual(total(found, "visits_total", kind="x"), 3)
            self.assertEqual(total(found, "visits_total", kind="z"), 1)
            self.assertEqual(total(found, "sizes_count", kind="x"), 2)
            self.assertEqual(total(found, "sizes_sum", kind="x"), 55)
            self.assertEqual(total(found, "nginx_http_metric_errors_total", metric="sizes"), 1)
            self.assertEqual({key: value for key, value in found.items() if key[0] == "level"}, {("level", frozenset({("kind", "x"), ("shop", "main")})): 1})
            self.assertEqual({key: value for key, value in found.items() if key[0] == "paid_total"}, {("paid_total", frozenset({("kind", "x"), ("shop", "main")})): 5})
            self.assertEqual({dict(labels)["kind"] for name, labels in found if name == "other_total"}, {"y", ""})
            self.assertEqual(total(found, "always_count"), 3)
            page = nginx.get("/metrics", headers=["Accept: application/openmetrics-text;version=1.0.0"]).body.decode()
            self.assertIn('# {id="7"} 50', page)

    def test_a_location_shows_what_it_counts(self):
        """Bytes and durations have the same labels, but a location may count only one of them."""
        http = """shmetrics on; server { listen @SOCKET@; """ + PAGE + """
            location /a { shmetrics_location a; shmetrics_families bytes; return 200; }
            location /b { shmetrics_location b; shmetrics_families duration; return 200; }
            location /c { shmetrics_location c; shmetrics_families requests; return 200; } }"""
        with Nginx(http) as nginx:
            nginx.start()
            for path in ("/a", "/b", "/c"):
                nginx.get(path)
            nginx.wait_for(1, "nginx_http_requests_total", location="c")
            found = nginx.samples()
            for name, where in (("nginx_http_sent_bytes_total", "a"), ("nginx_http_request_duration_seconds_count", "b")):
                self.assertEqual({dict(labels)["location"] for sample, labels in found if sample == name}, {where}, name)
