"""The module in the installed nginx."""

import gzip
import os
import pathlib
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import unittest

try:
    from prometheus_client import parser
except ImportError:
    parser = None

from harness import LIMIT, MODULE, NGINX, Answer, Nginx, eventually, samples, total

ROOT = pathlib.Path(__file__).resolve().parents[3]
PROMTOOL = shutil.which("promtool")
APP = os.environ.get("NGINX_APP", "")
PAGE = "location = /metrics { shmetrics off; shmetrics_page; }"
SERVER = "shmetrics on; server { listen @SOCKET@; server_name shop; location / { shmetrics_location root; return 200 ok; } " + PAGE + " }"


def as_www_data(command):
    if os.geteuid() == 0:
        command = ["setpriv", "--reuid=www-data", "--regid=www-data", "--clear-groups", *command]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def valid(test, text):
    """The page by every parser that is here."""
    if PROMTOOL:
        done = subprocess.run([PROMTOOL, "check", "metrics"], input=text.encode(), capture_output=True, check=False)
        test.assertNotIn(b"error while linting", done.stderr)
        test.assertNotIn(b"parse", done.stderr)
    if parser:
        list(parser.text_string_to_metric_families(text))


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
            self.assertEqual(total(found, "nginx_http_requests_in_progress"), 0)

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
            nginx.wait_for(7, "nginx_http_requests_in_progress", server="shop")
            for client in clients[:3]:
                client.close()
            self.assertTrue(eventually(lambda: total(nginx.samples(), "nginx_http_requests_in_progress") == 4))
            for pid in nginx.workers():
                os.kill(pid, 9)
            self.assertTrue(eventually(lambda: len(nginx.workers()) == 2))
            self.assertEqual(total(nginx.samples(), "nginx_http_requests_in_progress"), 0)
            for client in clients[3:]:
                client.close()

    def test_tls(self):
        if not shutil.which("openssl"):
            print("skipped: TLS (no openssl)")
            return
        http = """shmetrics on; server { listen unix:@DIR@/tls.sock ssl http2; server_name shop;
            ssl_certificate @DIR@/cert.pem; ssl_certificate_key @DIR@/key.pem; ssl_session_cache shared:tls:1m; ssl_protocols TLSv1.2;
            location / { return 200 ok; } } server { listen @SOCKET@; """ + PAGE + "}"
        with Nginx(http) as nginx:
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=shop",
                            "-keyout", nginx.directory / "key.pem", "-out", nginx.directory / "cert.pem"], check=True, capture_output=True)
            nginx.start()
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            session = None
            for _ in range(2):
                plain = socket.socket(socket.AF_UNIX)
                plain.settimeout(LIMIT)
                plain.connect(str(nginx.directory / "tls.sock"))
                with context.wrap_socket(plain, session=session) as client:
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
            self.assertEqual(total(found, "nginx_http_requests_in_progress"), 0)
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

    def test_a_removed_series_comes_back(self):
        with Nginx(SERVER) as nginx:
            nginx.start()
            nginx.get()
            nginx.wait_for(1, "nginx_http_requests_total")
            remove = os.environ.get("NGINX_REMOVE")
            self.assertEqual(subprocess.run([remove, nginx.segment, "nginx_http_requests"], check=False).returncode, 0)
            self.assertEqual(total(nginx.samples(), "nginx_http_requests_total"), 0)
            for _ in range(4):
                nginx.get()
            nginx.wait_for(4, "nginx_http_requests_total")


class Lifetime(unittest.TestCase):
    def test_nothing_is_lost(self):
        with Nginx(SERVER) as nginx:
            nginx.start()
            sent = 0
            stop = threading.Event()
            counts = [0] * 3

            def client(i):
                while not stop.is_set():
                    if nginx.get().status == 200:
                        counts[i] += 1

            threads = [threading.Thread(target=client, args=(i,)) for i in range(3)]
            for thread in threads:
                thread.start()
            for _ in range(3):
                nginx.reload()
            nginx.upgrade()
            nginx.reload()
            stop.set()
            for thread in threads:
                thread.join()
            sent += sum(counts)
            self.assertGreater(sent, 10)
            nginx.wait_for(sent, "nginx_http_requests_total", status="200")
            accepted = 0
            for _ in range(4):
                for _ in range(10):
                    nginx.get()
                sent += 10
                # requests are counted after their answer
                nginx.wait_for(sent, "nginx_http_requests_total", status="200")
                nginx.kill_worker()
                now = total(nginx.samples(), "nginx_connections_accepted_total")
                self.assertGreaterEqual(now, accepted)
                accepted = now
            found = nginx.samples()
            self.assertEqual(total(found, "nginx_http_requests_total", status="200"), sent)
            self.assertEqual(total(found, "nginx_http_request_duration_seconds_count"), sent)
            self.assertEqual(total(found, "nginx_http_requests_in_progress"), 0)
            self.assertGreaterEqual(accepted, sent)
            self.assertEqual(nginx.told(), [])

    def test_a_reload_may_change_labels_and_buckets(self):
        before = "shmetrics_counter orders a=1; shmetrics_histogram sizes value=1 buckets=1,2; shmetrics_buckets 1 2; " + SERVER
        after = "shmetrics_counter orders a=1 b=2; shmetrics_histogram sizes value=1 buckets=1,2,3; shmetrics_buckets 1 2 3; " + SERVER
        with Nginx(before) as nginx:
            nginx.start()
            nginx.get()
            nginx.wait_for(1, "nginx_http_requests_total")
            for config, bounds in ((after, 4), (before, 3), (after, 4)):
                nginx.configure(config)
                base = total(nginx.samples(), "nginx_http_requests_total")
                nginx.reload()
                first = total(nginx.samples(), "orders_total")
                for _ in range(5):
                    nginx.get()
                nginx.wait_for(base + 5, "nginx_http_requests_total")
                found = nginx.samples()
                labels = [dict(labels) for name, labels in found if name == "orders_total"]
                self.assertEqual([set(one) for one in labels], [{"a", "b"} if config is after else {"a"}])
                self.assertGreaterEqual(total(found, "orders_total"), first + 5)
                for name in ("sizes", "nginx_http_request_duration_seconds"):
                    self.assertEqual(len([1 for sample, _ in found if sample == name + "_bucket"]), bounds)
            self.assertEqual(nginx.told(), [])

    def test_names_that_clash_with_those_of_before(self):
        with Nginx(SERVER) as nginx:
            nginx.start()
            kinds = ("shmetrics_histogram m value=1", "shmetrics_counter m_count a=1; shmetrics_gauge m value=1", "shmetrics_gauge m value=2 x=y",
                     "shmetrics_histogram m value=1", "shmetrics_histogram m value=1", "shmetrics_counter m_count a=1")
            for i, metric in enumerate(kinds):
                nginx.configure(f"{metric}; " + SERVER)
                nginx.reload()
                nginx.get()
                nginx.wait_for(i + 1, "nginx_http_requests_total", location="root")
            self.assertEqual(total(nginx.samples(), "m_count_total", a="1") > 0, True)
            self.assertEqual(nginx.told(), [])
            self.assertNotIn("[emerg]", nginx.errors())

    def test_an_application_beside_it(self):
        for first in ("nginx", "application"):
            with self.subTest(first=first), Nginx(SERVER, zone="group=www-data" if os.geteuid() == 0 else "mode=0600") as nginx:
                if first == "application":
                    done = as_www_data([APP, nginx.segment, "2"])
                    self.assertEqual((done.returncode, done.stderr), (0, ""))
                elif os.geteuid() == 0:
                    nginx.zone = "owner=www-data"
                    nginx.configure(SERVER)
                nginx.start()
                nginx.get()
                done = as_www_data([APP, nginx.segment, "3"])
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                nginx.wait_for(1, "nginx_http_requests_total")
                self.assertEqual(total(nginx.samples(), "app_jobs_total"), 5 if first == "application" else 3)
                nginx.reload()
                nginx.get()
                nginx.wait_for(2, "nginx_http_requests_total")

    def test_zone_parameters(self):
        with Nginx(SERVER, zone="size=4m mode=0644 machine=m1 rack=r2") as nginx:
            nginx.start()
            nginx.get()
            nginx.wait_for(1, "nginx_http_requests_total", machine="m1", rack="r2")
            self.assertEqual(nginx.segment.stat().st_mode & 0o777, 0o644)
            if os.geteuid() == 0:
                user = subprocess.run(["ps", "-o", "user=", "-p", str(nginx.workers()[0])], capture_output=True, text=True, check=False)
                self.assertEqual(user.stdout.strip(), "www-data")
            # Other labels cannot be given to series that exist.
            nginx.zone = "size=4m machine=m2"
            nginx.configure(SERVER)
            nginx.reload()
            nginx.get()
            nginx.wait_for(2, "nginx_http_requests_total", machine="m1")
            self.assertEqual(len(nginx.told()), 1)


class Configuration(unittest.TestCase):
    def test_a_test_makes_nothing(self):
        with Nginx(SERVER) as nginx:
            before = set(os.listdir("/dev/shm"))
            self.assertEqual(nginx.test()[0], True, nginx.test()[1])
            self.assertEqual(list(nginx.shm.iterdir()), [])
            self.assertEqual({name for name in set(os.listdir("/dev/shm")) - before if name.startswith("shmetrics-zone")}, set())

    def test_errors_name_the_line_and_the_reason(self):
        here = "main"
        cases = [  # main context, http context, context of the fault, what is said
            ("shmetrics_zone x size=big;", "", here, 'invalid parameter "size=big"'),
            ("shmetrics_zone x mode=999;", "", here, 'invalid parameter "mode=999"'),
            ("shmetrics_zone x mode;", "", here, 'invalid parameter "mode"'),
            ("shmetrics_zone x owner=nobody-there;", "", here, '"nobody-there": there is no such user'),
            ("shmetrics_zone x group=nobody-there;", "", here, '"nobody-there": there is no such group'),
            ("shmetrics_zone x trust=root,nobody-there;", "", here, '"nobody-there": there is no such user'),
            ("shmetrics_zone a*b;", "", here, '"a*b"'),
            ("shmetrics_zone x le=1;", "", here, 'label name "le"'),
            ("shmetrics_zone x a=1 a=2;", "", here, "it is given twice"),
            ("shmetrics_zone x size=1k;", "", here, "a maximum size of 1024 bytes"),
            ("shmetrics_zone x;shmetrics_zone y;", "", here, "the zone is defined in"),
            ("", "shmetrics on;", "http", 'there is no "shmetrics_zone" directive'),
            ("", "shmetrics_counter a;", "http", 'there is no "shmetrics_zone" directive'),
            ("Z", "shmetrics maybe;", "http", "it must be"),
            ("Z", "shmetrics_families requests speed;", "http", 'unknown families "speed"'),
            ("Z", "shmetrics_status both;", "http", 'invalid value "both"'),
            ("Z", "shmetrics_buckets 2 1;", "http", 'invalid bound "1": bounds must rise'),
            ("Z", "shmetrics_buckets 1 fast;", "http", 'invalid bound "fast"'),
            ("Z", "shmetrics_buckets native=0.5;", "http", 'invalid parameter "native=0.5"'),
            ("Z", "shmetrics_counter;", "http", "invalid number of arguments"),
            ("Z", "shmetrics_counter a value=$nothing;", "http", 'unknown "nothing" variable'),
            ("Z", "shmetrics_counter a value=-1;", "http", 'invalid parameter "value=-1"'),
            ("Z", "shmetrics_counter a label;", "http", 'invalid parameter "label"'),
            ("Z", 'shmetrics_counter a help="some words";', "http", "quotes belong around the whole"),
            ("Z", "shmetrics_counter a x=1 x=2;", "http", '"a"'),
            ("Z", "shmetrics_histogram a;", "http", 'needs a parameter "value="'),
            ("Z", "shmetrics_histogram a value=1 le=2;", "http", '"a"'),
            ("Z", "shmetrics_histogram a value=1 buckets=1,1;", "http", "bounds must rise"),
            ("Z", "shmetrics_counter a x=1; shmetrics_gauge a value=1;", "http", 'the metric "a" has another type'),
            ("Z", "shmetrics_counter a; shmetrics_counter a_total;", "http", '"a_total": there is another metric of this name'),
            ("Z", "shmetrics_histogram a value=1; shmetrics_gauge a_count value=1;", "http", '"a_count"'),
            ("Z", "shmetrics on; shmetrics_counter nginx_http_requests;", "http", "there is another metric of this name"),
            ("Z", "shmetrics_counter shmetrics_x;", "http", None),
            ("shmetrics_zone x kind=1;", "shmetrics_counter a kind=2;", here, 'the label "kind" of the zone'),
        ]
        with Nginx() as nginx:
            for main, http, context, said in cases:
                with self.subTest(main=main, http=http):
                    main = f"shmetrics_zone {nginx.segment};" if main == "Z" else main.replace("zone x", f"zone {nginx.segment}")
                    nginx.configure("\n" + http + "server { listen @SOCKET@; }", main)
                    right, text = nginx.test()
                    if said is None:
                        continue
                    self.assertFalse(right, text)
                    self.assertIn(said, text)
                    if "variable" in said:
                        continue  # nginx itself finds these, and names no line
                    marker = http if context == "http" else main.split(";")[0]
                    line = next(i for i, line in enumerate(nginx.config.read_text().split("\n"), 1) if marker[:20] in line)
                    self.assertIn(f"{nginx.config}:{line}", text)
                    self.assertEqual(list(nginx.shm.iterdir()), [])

    def test_a_refused_reload_changes_nothing(self):
        with Nginx(SERVER) as nginx:
            nginx.start()
            nginx.get()
            nginx.configure("shmetrics_histogram a value=1 le=2; " + SERVER)
            os.kill(nginx.master_pid(), 1)
            self.assertTrue(eventually(lambda: "[emerg]" in nginx.errors()))
            nginx.kill_worker()
            nginx.get()
            nginx.wait_for(2, "nginx_http_requests_total")

    def test_the_example_of_the_manual(self):
        example = (ROOT / "bindings/nginx/example/nginx.conf").read_text()
        self.assertIn(example.strip(), (ROOT / "docs/nginx.md").read_text())
        with Nginx() as nginx:
            changed = example.replace("modules/ngx_http_shmetrics_module.so", MODULE)
            changed = changed.replace("shmetrics_zone shop", f"shmetrics_zone {nginx.segment}")
            changed = changed.replace("listen 80;", "listen @SOCKET@;").replace("listen 127.0.0.1:9145;", "listen unix:@DIR@/metrics.sock;")
            changed = changed.replace("server 127.0.0.1:8000;", "server unix:@DIR@/app.sock;").replace("allow 127.0.0.1;", "allow unix:;")
            if os.geteuid() != 0:
                changed = changed.replace("user www-data;", "").replace("owner=www-data group=www-data", "")
            here = f"pid {nginx.pid_file}; error_log {nginx.log} notice;\n"
            temporary = "".join(f"{name}_temp_path @DIR@/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
            app = "server { listen unix:@DIR@/app.sock; shmetrics off; return 200; }"
            nginx.configure("", complete=here + changed.replace("http {", "http {" + temporary + app + "access_log off;", 1))
            self.assertEqual(nginx.test()[0], True, nginx.test()[1])
            nginx.start()
            for path in ("/", "/api/orders?kind=book", "/static/none"):
                nginx.get(path, host="shop.example")
            nginx.socket = nginx.directory / "metrics.sock"
            nginx.wait_for(3, "nginx_http_requests_total", server="shop.example")
            found = nginx.samples()
            self.assertEqual(total(found, "shop_orders_total", kind="book"), 1)
            self.assertEqual(total(found, "nginx_http_upstream_requests_total", upstream="app", status="200"), 2)


class Faults(unittest.TestCase):
    def faulty(self, nginx, status=503):
        nginx.start()
        for _ in range(50):
            self.assertEqual(nginx.get().status, 200)
        for _ in range(2):
            nginx.reload()
        answer = nginx.get("/metrics")
        self.assertEqual(answer.status, status)
        self.assertEqual(len(nginx.told()), 1, nginx.errors())
        return answer.body.decode()

    def mended(self, nginx):
        nginx.reload()
        nginx.get()
        nginx.wait_for(1, "nginx_http_requests_total")

    def test_a_foreign_file(self):
        with Nginx(SERVER) as nginx:
            nginx.segment.write_bytes(b"something else" * 1000)
            self.assertIn("nothing is counted", self.faulty(nginx))
            self.assertTrue(nginx.segment.read_bytes().startswith(b"something else"))
            nginx.segment.unlink()
            self.mended(nginx)

    def test_a_segment_of_another_user(self):
        if os.geteuid() != 0:
            print("skipped: a segment of another user (only root can make one)")
            return
        with Nginx(SERVER) as nginx:
            subprocess.run([APP, nginx.segment, "1"], check=True)
            os.chown(nginx.segment, 12345, 12345)
            self.assertIn("12345", self.faulty(nginx))
            nginx.zone = "trust=12345"
            nginx.configure(SERVER)
            self.mended(nginx)

    def test_an_unreadable_directory(self):
        with Nginx(SERVER) as nginx:
            nginx.segment = nginx.shm / "missing" / "zone"
            nginx.configure(SERVER)
            self.faulty(nginx)
            nginx.segment.parent.mkdir()
            self.mended(nginx)

    def test_a_full_segment(self):
        http = "shmetrics_max_series 0; shmetrics_counter filler max_series=0 a=$arg_a; " + SERVER
        with Nginx(http, zone="size=640k") as nginx:
            nginx.start()
            if nginx.told():
                self.skipTest(f"skipped: a full segment (the size is too small: {nginx.told()})")
            for i in range(100):
                nginx.send(b"".join(b"GET /?a=%d%s HTTP/1.1\r\nHost: shop\r\n\r\n" % (i * 100 + k, b"x" * 100) for k in range(100))
                           + b"GET / HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n")
            nginx.wait_for(10100, "nginx_http_requests_total", location="root")
            self.assertEqual(total(nginx.samples(), "filler_total", shmetrics_overflow="true") > 0, True)
            self.assertEqual(total(nginx.samples(), "filler_total") >= 10100, True)
            self.assertLessEqual(len(nginx.told()), 1)
            nginx.reload()
            self.assertEqual(nginx.get().status, 200)

    def test_a_removed_file(self):
        with Nginx(SERVER) as nginx:
            nginx.start()
            nginx.get()
            nginx.wait_for(1, "nginx_http_requests_total")
            nginx.segment.unlink()
            self.assertEqual(nginx.get().status, 200)
            nginx.wait_for(2, "nginx_http_requests_total")
            self.mended(nginx)

    def test_one_process(self):
        with Nginx(SERVER, master="off") as nginx:
            nginx.start()
            nginx.get()
            nginx.wait_for(1, "nginx_http_requests_total")
            self.assertEqual(total(nginx.samples(), "nginx_http_requests_in_progress"), 0)


class Page(unittest.TestCase):
    FORMATS = {
        "": "text/plain; version=0.0.4",
        "text/plain;version=1.0.0": "text/plain; version=1.0.0",
        "application/openmetrics-text;version=1.0.0": "application/openmetrics-text; version=1.0.0",
        "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited": "application/vnd.google.protobuf",
    }

    def test_formats_head_selection_and_gzip(self):
        http = """gzip on; gzip_types text/plain application/openmetrics-text; gzip_min_length 0;""" + SERVER
        with Nginx(http) as nginx:
            nginx.start()
            nginx.get()
            nginx.wait_for(1, "nginx_http_requests_total")
            for accept, kind in self.FORMATS.items():
                headers = [f"Accept: {accept}"] if accept else []
                answer = nginx.get("/metrics", headers=headers)
                self.assertEqual(answer.status, 200)
                self.assertTrue(answer.headers["content-type"].startswith(kind), answer.headers)
                self.assertIn("Accept", answer.headers["vary"])
                self.assertIn(b"nginx_http_requests", answer.body)
                if "openmetrics" in accept:
                    self.assertTrue(answer.body.endswith(b"# EOF\n"))
                elif "text" in kind:
                    valid(self, answer.body.decode())
                head = nginx.get("/metrics", "HEAD", headers=headers)
                self.assertEqual((head.status, head.body), (200, b""))
                self.assertEqual(head.headers["content-type"], answer.headers["content-type"])
            for accept in ("", "application/openmetrics-text;version=1.0.0"):
                answer = nginx.get("/metrics", headers=["Accept-Encoding: gzip", *([f"Accept: {accept}"] if accept else [])])
                self.assertEqual(answer.headers["content-encoding"], "gzip")
                self.assertIn(b"nginx_http_requests_total{", gzip.decompress(answer.body))
            for query in ("name[]=nginx_http_requests_total", "x=1&name%5b%5D=nginx%5fhttp_requests_total&name[]=none"):
                found = samples(nginx.get(f"/metrics?{query}").body.decode())
                self.assertEqual({name for name, _ in found}, {"nginx_http_requests_total"})
            self.assertEqual(nginx.get("/metrics?name[]=none").body, b"")
            self.assertEqual(nginx.get("/metrics", "POST").status, 405)
            self.assertEqual(nginx.get("/metrics", "DELETE").status, 405)
            self.assertNotIn("[alert]", nginx.errors())

    def test_access_is_nginx_own(self):
        http = "server { listen @SOCKET@; location = /metrics { deny all; shmetrics_page; } location = /in { internal; shmetrics_page; } }"
        with Nginx(http) as nginx:
            nginx.start()
            self.assertEqual(nginx.get("/metrics").status, 403)
            self.assertEqual(nginx.get("/in").status, 404)

    def test_a_large_page_and_slow_clients(self):
        http = "keepalive_requests 100000; gzip_types text/plain; send_timeout 2s; " + SERVER.replace("listen", "listen unix:@DIR@/h2.sock http2; listen", 1).replace("return 200", "shmetrics_counter many a=$arg_a; return 200").replace(
            PAGE, PAGE + "location = /zipped { shmetrics off; gzip on; shmetrics_page; } location = /slow { shmetrics off; limit_rate 1m; shmetrics_page; }")
        with Nginx(http) as nginx:
            nginx.start()
            for i in range(16):
                nginx.send(b"".join(b"GET /?a=%d%s HTTP/1.1\r\nHost: shop\r\n\r\n" % (i * 500 + k, b"y" * 100) for k in range(500))
                           + b"GET /?a=0 HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n")
            nginx.wait_for(16 * 501, "nginx_http_requests_total", location="root")
            whole = nginx.get("/metrics?name[]=many_total").body
            self.assertGreater(len(whole), 900_000)
            self.assertEqual(len(samples(whole.decode())), 8001)
            zipped = nginx.get("/zipped?name[]=many_total", headers=["Accept-Encoding: gzip"])
            self.assertEqual(gzip.decompress(zipped.body), whole)
            self.assertEqual(nginx.get("/slow?name[]=many_total").body, whole)
            # One takes a little at a time, one takes nothing, one leaves: requests go on, and the
            # page of the first is whole.
            request = b"GET /metrics?name[]=many_total HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n"
            slow, deaf, gone = nginx.connect(), nginx.connect(), nginx.connect()
            for client in (slow, deaf, gone):
                client.sendall(request)
            gone.recv(1000)
            gone.close()
            parts = []
            while part := slow.recv(50_000):
                parts.append(part)
                if len(parts) % 5 == 0:
                    self.assertEqual(nginx.get("/metrics?name[]=none").status, 200)
            self.assertEqual(Answer(b"".join(parts)).body, whole)
            slow.close()
            # The time of the one that takes nothing ends.
            self.assertTrue(eventually(lambda: total(nginx.samples(), "nginx_connections", state="active") == 1))
            deaf.close()
            if shutil.which("curl"):
                url = "http://shop/metrics?name[]=many_total"
                for options in ([], ["--limit-rate", "2M"]):
                    command = ["curl", "-sg", "--http2-prior-knowledge", *options, "--unix-socket", nginx.directory / "h2.sock", url]
                    self.assertEqual(subprocess.run(command, capture_output=True, check=True).stdout, whole)
            # Two on one connection, one behind the other.
            data = nginx.send(request.replace(b"Connection: close\r\n", b"") + request)
            self.assertEqual(data.count(b"HTTP/1.1 200"), 2)
            self.assertNotIn("[alert]", nginx.errors())
            self.assertNotIn("exited on signal", nginx.errors())


class Hostile(unittest.TestCase):
    def test_requests_that_are_not_kind(self):
        http = """shmetrics_counter said a=$http_x b=$host c=$arg_c d=$request_uri max_series=100000; shmetrics_gauge g value=$http_x;
        shmetrics_histogram h value=$http_x agent=$http_user_agent; large_client_header_buffers 4 32k;""" + SERVER
        bad = [b'"', b"\\", b'"} 1\\n', b"\xff\xfe", b"\xc0\x80", b"\xed\xa0\x80", "\u2028".encode(), b"\t", b"nan", b"inf", b"1e999",
               b"-", b"9" * 70, b"x" * 20000, b"$host", b"%00%0a", "é".encode() * 3000]
        with Nginx(http) as nginx:
            nginx.start()
            sent = 0
            for value in bad:
                for line in (b"GET /?c=%s HTTP/1.1" % value.replace(b"\t", b"%09"), b"GET / HTTP/1.1", b"G\x00T / HTTP/1.1", value + b" / HTTP/1.1", b"GET /"):
                    nginx.send(line + b"\r\nHost: shop\r\nConnection: close\r\nX: " + value + b"\r\nUser-Agent: " + value + b"\r\n\r\n")
                    sent += 1
                nginx.send(b"GET / HTTP/1.1\r\nHost: " + value * (250 if len(value) < 9 else 1) + b"\r\nConnection: close\r\n\r\n")
                sent += 1
            nginx.send(b"GET / HTTP/1.0\r\n\r\n")
            with nginx.connect() as client:
                client.sendall(b"GET / HTT")
            nginx.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            self.assertTrue(eventually(lambda: total(nginx.samples(), "nginx_http_requests_in_progress") == 0))
            self.assertTrue(eventually(lambda: total(nginx.samples(), "nginx_http_requests_total") >= sent))
            page = nginx.page()
            valid(self, page)
            found = samples(page)
            self.assertEqual(total(found, "said_total"), total(found, "nginx_http_requests_total") + total(found, "said_total", d="/metrics"))
            methods = {dict(labels).get("method") for name, labels in found if name == "nginx_http_requests_total"}
            self.assertLessEqual(methods, {"GET", "other"})
            self.assertNotIn("exited on signal", nginx.errors())


if __name__ == "__main__":
    if not PROMTOOL:
        print("skipped: pages read by promtool (no promtool)")
    if not parser:
        print("skipped: pages read by prometheus_client (not installed)")
    unittest.main(verbosity=1, argv=[sys.argv[0], *sys.argv[1:]])
