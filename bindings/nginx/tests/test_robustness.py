"""Malformed configurations, hostile requests, and many reloads and killed workers."""

import base64
import os
import random
import re
import unittest

from harness import NGINX_IS_SLOW, PAGE, SERVER, STREAM, Load, Nginx, eventually, samples, total, valid

try:
    from prometheus_client.openmetrics import parser as openmetrics
except ImportError:
    openmetrics = None

LONG = bool(os.environ.get("SHMETRICS_LONG"))

# The parser of prometheus_client takes no escaped quotes in exemplars, which are right.
EXEMPLAR = re.compile(r' # \{(?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)*\} [-+0-9.e]+ [0-9.]+$', re.MULTILINE)

TEXTS = ["", "on", "off", "0", "1", "-1", "1e999", "nan", "0x10", "9" * 40, "1.1.1", "all", "none", "-all", "-", "native", "native=", "native=1", "native=nan",
         "le=1", "=", "=x", "a=", "a==", "a=b=c", "a=$", "a=${", "a=$nothing", "a=$host", "a=${host}x", "a=\\", "a='", "\xe9=1", "a=\xff\xfe", "é=é", "a" * 3000 + "=1",
         "a=" + "b" * 70000, "value=$host", "value=1", "value=", "value=-1", "if=", "if=$host", "help=", "help=\\n", "buckets=", "buckets=1", "buckets=2,1", "buckets=,",
         "buckets=1,,2", "buckets=" + ",".join(map(str, range(2000))), "max_series=", "max_series=-1", "max_series=99999999999999999999", "size=1", "size=-1", "size=1k",
         "size=99999g", "mode=", "mode=0", "mode=0888", "mode=07777", "owner=", "owner=nobody-there", "trust=,", "trust=root,", "group=" + "x" * 100, "traceparent=$host",
         "own", "vts", "exporter", "code", "class", "{", "}", ";", "#", "/", "..", "%s%n", "\x01", "a.b", "name", "__a=1", "shmetrics_x"]
# What is right, and in which context.
RIGHT = [("main", "worker_priority 0"), ("http", "shmetrics on"), ("http", "shmetrics_families requests duration"), ("server", "shmetrics_server name"), ("location", "shmetrics_location name"),
         ("http", "shmetrics_status class"), ("http", "shmetrics_buckets 1 2 native=1.5"), ("http", "shmetrics_max_series 10"), ("http", "shmetrics_names own vts"),
         ("server", "shmetrics_counter one value=$request_length if=$arg_x a=$host b=2 max_series=10"), ("location", "shmetrics_histogram two value=1 buckets=1,2 native=1.1 a=$host"),
         ("http", "shmetrics_gauge three value=$arg_v a=b"), ("location", "shmetrics_exemplar traceparent=$http_x id=$request_id"), ("location", "shmetrics_page"),
         ("server", "shmetrics_families -tls"), ("location", "shmetrics off"), ("location", "shmetrics_counter four a=$host value=$bytes_sent")]
RIGHT_OF_STREAM = [("stream", "shmetrics on"), ("stream", "shmetrics_families sessions bytes"), ("stream", "shmetrics_buckets 1 2 native=1.5"),
                   ("session", "shmetrics_counter five value=$bytes_sent if=$status a=$remote_addr b=2 max_series=10"), ("session", "shmetrics_server name"),
                   ("session", "shmetrics_histogram six value=1 buckets=1,2 native=1.1 a=$remote_addr b=2"), ("stream", "shmetrics_gauge seven value=$status a=b")]


def quoted(text):
    return text if text in ("{", "}", ";", "#") else '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


class Malformed(unittest.TestCase):
    def test_configurations(self):
        chance = random.Random(17)
        with Nginx() as nginx:
            right = 0
            for i in range(1000 if LONG else 40):
                # Several in one configuration: nginx stops at the first that is wrong.
                parts = {"main": "", "http": "", "server": "", "location": "", "stream": "", "session": ""}
                for context, directive in chance.sample(RIGHT + (RIGHT_OF_STREAM if STREAM else []), chance.randint(1, 3)):
                    words = directive.split()
                    if chance.random() < 0.5:
                        at = chance.randint(1, len(words))
                        words[at : at + chance.randint(0, 1)] = [quoted(chance.choice(TEXTS))]
                    parts[context] += " ".join(words) + ";\n"
                zone = f"shmetrics_zone {nginx.segment}"
                if chance.random() < 0.2:
                    zone += " " + " ".join(quoted(chance.choice(TEXTS)) for _ in range(chance.randint(1, 3)))
                if STREAM:
                    nginx.stream = f"{parts['stream']} server {{ listen unix:@DIR@/session.sock; {parts['session']} return ok; }}"
                nginx.configure(f"{parts['http']} server {{ listen @SOCKET@; {parts['server']} location / {{ {parts['location']} }} }}", f"{zone};\n{parts['main']}")
                with self.subTest(i=i):
                    done, output = nginx.test()
                    # It ends by itself, and with a word.
                    self.assertIn(done, (True, False))
                    self.assertGreaterEqual(nginx.tested, 0, f"ended by a signal: {nginx.config.read_bytes()!r}")
                    self.assertTrue(done or "[emerg]" in output, output)
                    self.assertEqual(list(nginx.shm.iterdir()), [])
                right += done
            self.assertGreater(right, 0)
            self.assertGreater(i, right)

    def test_requests(self):
        chance = random.Random(18)
        http = """shmetrics_counter said a=$http_x b=$host c=$arg_c d=$request_uri e=$request_method max_series=500; shmetrics_gauge g value=$http_x name=$http_y;
        shmetrics_histogram bytes value=$request_length a=$http_x b=$host c=$arg_c d=$request_uri e=$request_method max_series=500;
        shmetrics_counter more if=$arg_c a=$http_cookie b=$server_protocol c=$args d=$remote_user e=$uri f=$http_referer g=$request max_series=500;
        shmetrics_histogram h value=$arg_c agent=$http_user_agent max_series=200; shmetrics_exemplar traceparent=$http_x other=$http_y; shmetrics_names own vts;
        large_client_header_buffers 4 64k; client_header_timeout 60s;""" + SERVER
        pieces = [b"\x00", b"\x01\x02", b"\r", b"\n", b"\t", b'"', b'\\"', b"\\", b"'", b"{", b"}", b",", b"=", b"#", b"%00", b"%0a%0d", b"%22", b"\xff\xfe", b"\xc0\x80", b"\xed\xa0\x80",
                  b"\xf4\x90\x80\x80", "é".encode(), "\u2028".encode(), b"$host", b"nan", b"inf", b"1e999", b"-0", b"9" * 400, b"a" * 3000, b" ", b"le", b"__name__"]

        def odd():
            return b"".join(chance.choice(pieces) for _ in range(chance.randint(0, 6)))

        with Nginx(http, zone="size=16m") as nginx:
            nginx.start()
            for _ in range(20000 if LONG else 1000):
                method = chance.choice([b"GET", b"POST", b"BREW", b"", odd(), b"M" * 1000])
                version = chance.choice([b"HTTP/1.1", b"HTTP/1.0", b"HTTP/9.9", b"", odd()])
                host = chance.choice([b"shop", b"", b"h" * 5000, odd()])
                head = method + b" /?c=" + odd() + b" " + version + b"\r\nHost: " + host + b"\r\nConnection: close\r\n"
                nginx.send_and_leave(head + b"X: " + odd() + b"\r\nY: " + odd() + b"\r\nUser-Agent: " + odd()
                                     + b"\r\nCookie: " + odd() + b"\r\nReferer: " + odd() + b"\r\nAuthorization: Basic " + base64.b64encode(odd()) + b"\r\n\r\n")
            for _ in range(20):
                nginx.get()
            self.assertTrue(eventually(lambda: total(nginx.samples(), "nginx_http_requests_total", location="root", method="GET", status="200") >= 20))
            nginx.wait_for_gauge(0, "nginx_http_requests_in_progress")
            page = nginx.page()
            valid(self, page)
            found = samples(page)
            methods = {dict(labels)["method"] for name, labels in found if name == "nginx_http_requests_total"}
            self.assertLessEqual(methods, {"GET", "POST", "other"})
            for name in ("said_total", "bytes_count", "more_total", "h_count"):
                self.assertGreater(total(found, name), 0, name)
            page = nginx.get("/metrics", headers=["Accept: application/openmetrics-text;version=1.0.0"]).body.decode()
            self.assertTrue(page.endswith("# EOF\n"))
            if openmetrics:
                list(openmetrics.text_string_to_metric_families(EXEMPLAR.sub("", page)))
            self.assertNotIn("exited on signal", nginx.errors())
            self.assertEqual(len(nginx.workers()), 2)


class LongLife(unittest.TestCase):
    def test_requests_sent_are_requests_counted(self):
        """Over reloads, among them some with another label and another bucket, killed workers, and upgrades."""
        reloads, kills = (50, 20) if not NGINX_IS_SLOW else (10, 4)
        plain = SERVER.replace("return 200 ok;", "shmetrics_counter sent who=all; return 200 ok;")
        changed = "shmetrics_buckets 1 2 3; " + SERVER.replace("return 200 ok;", "shmetrics_counter sent who=all more=1; return 200 ok;")
        with Nginx(plain) as nginx:
            nginx.start()
            with Load(nginx, 2, pause=0.005) as load:
                for i in range(reloads):
                    if i % 10 == 9:
                        nginx.configure(changed if i % 20 == 9 else plain)
                    # A reload that follows at once takes the same old workers for new ones.
                    nginx.reload()
                    if i == reloads // 2:
                        nginx.upgrade()
            sent = load.answered
            self.assertGreater(sent, reloads)
            nginx.wait_for(sent, "nginx_http_requests_total", location="root", status="200")
            # Its definition changed: it counts from then on, and never more than was sent.
            self.assertLessEqual(total(nginx.samples(), "sent_total"), sent)
            accepted, observed = 0, total(nginx.samples(), "nginx_http_request_duration_seconds_count")
            for _ in range(kills):
                for _ in range(5):
                    nginx.get()
                sent += 5
                nginx.wait_for(sent, "nginx_http_requests_total", location="root", status="200")
                nginx.kill_worker()
                before, accepted = accepted, total(nginx.samples(), "nginx_connections_accepted_total")
                self.assertGreaterEqual(accepted, before)
            self.assertGreaterEqual(accepted, sent)
            self.assertEqual(total(nginx.samples(), "nginx_http_request_duration_seconds_count"), observed + 5 * kills)
            nginx.wait_for(sent, "nginx_http_requests_total", location="root", status="200")
            nginx.wait_for_gauge(0, "nginx_http_requests_in_progress")
            self.assertEqual(nginx.told(), [])

    def test_a_worker_that_dies_in_the_middle_of_requests(self):
        """What was counted stays, and what was not answered is not counted twice."""
        with Nginx("shmetrics on; server { listen @SOCKET@; server_name shop; location / { proxy_pass http://unix:@DIR@/nobody.sock; } " + PAGE + "}") as nginx:
            nginx.start()
            counted = 0
            for _ in range(5):
                clients = [nginx.connect() for _ in range(6)]
                for client in clients:
                    client.sendall(b"POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 5\r\n\r\n")
                nginx.wait_for_gauge(6, "nginx_http_requests_in_progress")
                nginx.kill_workers()
                nginx.wait_for_gauge(0, "nginx_http_requests_in_progress")
                self.assertEqual(total(nginx.samples(), "nginx_http_requests_total"), counted)
                self.assertEqual(nginx.get().status, 502)
                counted += 1
                nginx.wait_for(counted, "nginx_http_requests_total")
                for client in clients:
                    client.close()
