"""Limits, TLS handshakes that fail, and exemplars."""

import re
import ssl
import unittest

from harness import PAGE, SERVER, Nginx, eventually, tls_context, total

OPENMETRICS = ["Accept: application/openmetrics-text;version=1.0.0"]


class Limits(unittest.TestCase):
    def test_requests_by_what_the_limits_said(self):
        http = """shmetrics on; limit_req_zone $arg_k zone=few:1m rate=1r/m; limit_conn_zone $server_name zone=conn:1m;
        server { listen @SOCKET@; server_name shop; """ + PAGE + """
            location / { shmetrics_location free; proxy_pass http://unix:@DIR@/nobody.sock; }
            location /strict { shmetrics_location strict; limit_req zone=few; proxy_pass http://unix:@DIR@/nobody.sock; }
            location /dry { shmetrics_location dry; limit_req zone=few; limit_req_dry_run on; proxy_pass http://unix:@DIR@/nobody.sock; }
            location /conn { shmetrics_location conn; limit_conn conn 1; proxy_pass http://unix:@DIR@/nobody.sock; } }"""
        with Nginx(http) as nginx:
            nginx.start()
            nginx.get("/?k=0")
            for query in (b"strict?k=a", b"dry?k=b"):  # at once: the limit is one a minute
                request = b"GET /" + query + b" HTTP/1.1\r\nHost: shop\r\n"
                nginx.send(request + b"\r\n" + request + b"\r\n" + request + b"Connection: close\r\n\r\n")
            # The first waits for its body, and so holds the one connection.
            with nginx.connect() as first:
                first.sendall(b"POST /conn HTTP/1.1\r\nHost: shop\r\nContent-Length: 5\r\n\r\n")
                nginx.wait_for_gauge(1, "nginx_http_requests_in_progress")
                self.assertEqual(nginx.get("/conn").status, 503)
                first.sendall(b"12345")
                self.assertIn(b" 502 ", first.recv(4096))
            nginx.wait_for(9, "nginx_http_requests_total")
            found = nginx.samples()
            name = "nginx_http_limit_req_requests_total"
            self.assertEqual(total(found, name, server="shop", location="strict", status="passed"), 1)
            self.assertEqual(total(found, name, server="shop", location="strict", status="rejected"), 2)
            self.assertEqual(total(found, name, location="dry", status="passed"), 1)
            self.assertEqual(total(found, name, location="dry", status="rejected_dry_run"), 2)
            self.assertEqual(total(found, name), 6)
            name = "nginx_http_limit_conn_requests_total"
            self.assertEqual(total(found, name, server="shop", location="conn", status="passed"), 1)
            self.assertEqual(total(found, name, server="shop", location="conn", status="rejected"), 1)
            self.assertEqual(total(found, name), 2)


class Handshakes(unittest.TestCase):
    def test_handshakes_that_fail(self):
        http = """shmetrics on; ssl_certificate @DIR@/cert.pem; ssl_certificate_key @DIR@/key.pem; ssl_protocols TLSv1.3;
        server { listen unix:@DIR@/tls.sock ssl; server_name shop; location / { return 200 ok; } }
        server { listen unix:@DIR@/tls.sock ssl; server_name api; location / { return 200 ok; } }
        server { listen unix:@DIR@/tls.sock ssl; server_name off; shmetrics_families -tls; location / { return 200 ok; } }
        server { listen @SOCKET@; """ + PAGE + "}"
        with Nginx(http) as nginx:
            if not nginx.certify():
                print("skipped: TLS handshakes that fail (no openssl)")
                return
            nginx.start()
            where = nginx.directory / "tls.sock"
            for name in ("shop", "api", "off"):
                with tls_context().wrap_socket(nginx.connect(where), server_hostname=name) as client:
                    pass  # a handshake, and no request
            for _ in range(2):
                with nginx.connect(where) as client, self.assertRaises(ssl.SSLError):
                    tls_context(ssl.TLSVersion.TLSv1_2).wrap_socket(client, server_hostname="api")
            nginx.send(b"\x16\x03\x01\x00\x05nonse", where)
            with nginx.connect(where) as client:  # that goes in the middle of its handshake
                client.sendall(b"\x16\x03\x01\x02\x00\x01")
            nginx.connect(where).close()  # says nothing, so there is no handshake
            failures = "nginx_http_tls_handshake_failures_total"
            nginx.wait_for(4, failures)
            self.assertTrue(eventually(lambda: total(nginx.samples(), "nginx_http_tls_handshakes_total") == 2))
            found = nginx.samples()
            for name in ("shop", "api"):
                self.assertEqual(total(found, "nginx_http_tls_handshakes_total", server=name, protocol="TLSv1.3", reused="false"), 1)
            # A client that does not come so far as to name a server is the first one's.
            self.assertEqual(total(found, failures, server="shop") + total(found, failures, server="api"), 4)
            self.assertGreaterEqual(total(found, failures, server="shop"), 2)
            self.assertNotIn("exited on signal", nginx.errors())


class Exemplars(unittest.TestCase):
    def exemplars(self, nginx, name):
        text = nginx.get("/metrics", headers=OPENMETRICS).body.decode()
        return re.findall(rf"^{name}\{{[^#\n]*# \{{([^}}]*)\}}", text, re.M)

    def test_of_a_traceparent(self):
        http = "shmetrics_exemplar traceparent=$http_traceparent; shmetrics_counter seen a=1; " + SERVER
        trace, span = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
        bad = ["", "x", f"00-{trace}-{span}-00", f"00-{'0' * 32}-{span}-01", f"00-{trace}-{'0' * 16}-01", f"ff-{trace}-{span}-01", f"00-{trace.upper()}-{span}-01",
               f"00-{trace}-{span}-01-more", f"00-{trace}-{span}-0", f"00-{trace}-{span}-0x", f"00_{trace}-{span}-01", f"00-{trace}{span}--01", "-" * 55]
        with Nginx(http) as nginx:
            nginx.start()
            for value in bad:
                nginx.get(headers=[f"traceparent: {value}"])
            nginx.wait_for(len(bad), "nginx_http_requests_total")
            for name in ("seen_total", "nginx_http_request_duration_seconds_bucket"):
                self.assertEqual(self.exemplars(nginx, name), [])
            nginx.get(headers=[f"traceparent: 00-{trace}-{span}-03"])
            nginx.wait_for(len(bad) + 1, "nginx_http_requests_total")
            for name in ("seen_total", "nginx_http_request_duration_seconds_bucket"):
                self.assertEqual(self.exemplars(nginx, name), [f'trace_id="{trace}",span_id="{span}"'])

    def test_of_other_variables(self):
        http = """shmetrics_exemplar request=$arg_r user=$arg_u; shmetrics_histogram size value=1 buckets=1,2; """ + SERVER.replace(
            PAGE, PAGE + """ location /off { shmetrics_exemplar off; return 200; }
            location /own { shmetrics_exemplar only=$arg_r; return 200; }""")
        with Nginx(http) as nginx:
            nginx.start()
            # Nothing, or too long.
            for query in ("", "?r=" + "x" * 200, "?u=", "?r=" + "x" * 120 + "&u=y"):
                nginx.get("/" + query)
            nginx.get("/off?r=1")
            nginx.wait_for(5, "nginx_http_requests_total")
            self.assertEqual(self.exemplars(nginx, "size_bucket"), [])
            nginx.get("/?u=me")
            nginx.wait_for(6, "nginx_http_requests_total")
            self.assertEqual(self.exemplars(nginx, "size_bucket"), ['user="me"'])
            self.assertEqual(total(nginx.samples(), "shmetrics_updates_rejected_total"), 0)

    def test_wrong_directives(self):
        for text in ("shmetrics_exemplar trace;", "shmetrics_exemplar a-b=$arg_a;", "shmetrics_exemplar a=1 a=2;", "shmetrics_exemplar =1;",
                     "shmetrics_exemplar 1a=1;"):
            with self.subTest(text=text), Nginx(text + SERVER) as nginx:
                nginx.refused(self, "invalid parameter")
        with Nginx("shmetrics_exemplar a=1; shmetrics_exemplar b=1; " + SERVER) as nginx:
            nginx.refused(self, "is duplicate")
