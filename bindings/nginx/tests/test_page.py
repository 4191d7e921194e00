"""The page, and hostile requests."""

import gzip
import os
import shutil
import signal
import subprocess
import unittest

from harness import PAGE, SERVER, Answer, Nginx, eventually, samples, total, valid


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

    def test_pages_on_one_connection(self):
        with Nginx("gzip on; gzip_types text/plain; gzip_min_length 0; " + SERVER) as nginx:
            nginx.start()
            with nginx.connect() as client:
                for accept in ("identity", "identity", "gzip", "identity"):
                    client.sendall(f"GET /metrics HTTP/1.1\r\nHost: shop\r\nAccept-Encoding: {accept}\r\n\r\n".encode())
                    data = b""
                    while b"\r\n0\r\n\r\n" not in data:
                        data += client.recv(1 << 16)
                    # Nothing is between the end of a page and the next one.
                    self.assertTrue(data.startswith(b"HTTP/1.1 200 "), data[:100])
                    self.assertTrue(data.endswith(b"\r\n0\r\n\r\n") and data.count(b"\r\n0\r\n") == 1, data[-100:])
                client.sendall(b"GET / HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n")
                self.assertTrue(client.recv(1 << 16).startswith(b"HTTP/1.1 200 "))

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


    def test_a_reload_in_the_middle_of_a_page(self):
        """The old worker sends the rest of the page, even if it is no worker of the configuration any more."""
        http = SERVER.replace("return 200", "shmetrics_counter many max_series=0 a=$arg_a; return 200")
        with Nginx(http) as nginx:
            nginx.start()
            for first in range(0, 4000, 400):
                nginx.send(b"".join(b"GET /?a=%d%s HTTP/1.1\r\nHost: shop\r\n\r\n" % (i, b"y" * 500) for i in range(first, first + 400))
                           + b"GET /?a=last HTTP/1.0\r\nHost: shop\r\n\r\n")
            nginx.wait_for(4010, "nginx_http_requests_total", location="root")
            whole = nginx.get("/metrics?name[]=many_total").body
            for step in ("reload", "no page any more"):
                with self.subTest(step=step), nginx.connect() as client:
                    client.sendall(b"GET /metrics?name[]=many_total HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n")
                    data = client.recv(1000)
                    if step != "reload":
                        nginx.configure(http.replace(PAGE, ""))
                    before = nginx.both_workers()
                    os.kill(nginx.master_pid(), signal.SIGHUP)
                    self.assertTrue(eventually(lambda before=before: len(nginx.workers()) == 2 and not before & set(nginx.workers())), nginx.errors())
                    while part := client.recv(1 << 16):
                        data += part
                    self.assertEqual(Answer(data).body, whole)


class Hostile(unittest.TestCase):
    def test_hostile_requests(self):
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
