"""The stream module: TCP and UDP sessions."""

import socket
import ssl
import unittest

from harness import LIMIT, PAGE, STREAM, Nginx, eventually, samples, tls_context, total, valid

PAGE_SERVER = "server { listen @SOCKET@; " + PAGE + " }"
# Answers each session at once, and ends it.
ECHO = "server { listen unix:@DIR@/app.sock; shmetrics off; return hello; }"


def stream(text):
    """In stream{}, the harness replaces @DIR@ as everywhere."""
    return "shmetrics on; " + text


@unittest.skipUnless(STREAM, "no stream module of nginx")
class Stream(unittest.TestCase):
    def session(self, nginx, path):
        """All that the server says."""
        return nginx.send(b"", nginx.directory / path)

    def held(self, nginx):
        """A peer that takes sessions and does not answer."""
        held = socket.socket(socket.AF_UNIX)
        self.addCleanup(held.close)
        held.bind(str(nginx.directory / "held.sock"))
        (nginx.directory / "held.sock").chmod(0o777)
        held.listen(16)
        held.settimeout(LIMIT)
        return held

    def test_sessions_bytes_and_durations(self):
        servers = """server { listen unix:@DIR@/a.sock; shmetrics_server first; return hello; }
        server { listen unix:@DIR@/b.sock; listen unix:@DIR@/c.sock; return ok; }
        server { listen unix:@DIR@/d.sock; shmetrics_server denied; deny all; return no; }
        server { listen unix:@DIR@/off.sock; shmetrics off; return no; }
        shmetrics_buckets 0.5 60;"""
        with Nginx(PAGE_SERVER, stream=stream(servers)) as nginx:
            nginx.start()
            for _ in range(3):
                self.assertEqual(self.session(nginx, "a.sock"), b"hello")
            for path in ("b.sock", "c.sock", "b.sock", "off.sock"):
                self.session(nginx, path)
            self.assertEqual(self.session(nginx, "d.sock"), b"")
            name = "nginx_stream_sessions_total"
            nginx.wait_for(7, name)
            page = nginx.page()
            valid(self, page)
            found = samples(page)
            self.assertEqual(total(found, name, server="first", protocol="tcp", status="200"), 3)
            # Without a name, a server has those of its addresses.
            self.assertEqual(total(found, name, server=f"unix:{nginx.directory}/b.sock", status="200"), 2)
            self.assertEqual(total(found, name, server=f"unix:{nginx.directory}/c.sock", status="200"), 1)
            self.assertEqual(total(found, name, server="denied", status="403"), 1)
            self.assertEqual(total(found, "nginx_stream_sent_bytes_total", server="first"), 15)
            self.assertEqual(total(found, "nginx_stream_session_duration_seconds_count"), 7)
            bounds = {dict(labels)["le"] for (name, labels) in found if name == "nginx_stream_session_duration_seconds_bucket"}
            self.assertEqual(bounds, {"0.5", "60.0", "+Inf"})
            nginx.wait_for_gauge(0, "nginx_stream_sessions_in_progress")
            self.assertGreaterEqual(total(found, "nginx_connections_accepted_total"), 8)

    def test_upstreams(self):
        servers = ECHO + """
        upstream app { server unix:@DIR@/nobody.sock max_fails=0; server unix:@DIR@/app.sock; }
        server { listen unix:@DIR@/a.sock; shmetrics_server front; proxy_pass app; }
        server { listen unix:@DIR@/dead.sock; shmetrics_server dead; proxy_pass unix:@DIR@/nobody.sock; }"""
        with Nginx(PAGE_SERVER, stream=stream(servers)) as nginx:
            nginx.start()
            for _ in range(4):
                self.assertEqual(self.session(nginx, "a.sock"), b"hello")
            self.assertEqual(self.session(nginx, "dead.sock"), b"")
            nginx.wait_for(5, "nginx_stream_sessions_total")
            found = nginx.samples()
            up = "nginx_stream_upstream_"
            live, dead = (f"unix:{nginx.directory}/{name}.sock" for name in ("app", "nobody"))
            self.assertEqual(total(found, up + "sessions_total", upstream="app", peer=live, result="connected"), 4)
            failed = total(found, up + "sessions_total", upstream="app", peer=dead, result="failed")
            self.assertGreater(failed, 0)
            self.assertEqual(total(found, up + "retries_total", upstream="app"), failed)
            self.assertEqual(total(found, up + "sessions_total", result="failed"), failed + 1)
            for part in ("connect", "first_byte", "session"):
                self.assertEqual(total(found, f"{up}{part}_duration_seconds_count", upstream="app", peer=live), 4, part)
            self.assertEqual(total(found, f"{up}connect_duration_seconds_count", peer=dead), 0)
            self.assertEqual(total(found, up + "received_bytes_total", upstream="app", peer=live), 20)
            self.assertEqual(total(found, "nginx_stream_sessions_total", server="dead", status="502"), 1)

    def test_custom_metrics(self):
        servers = """shmetrics_counter all_sessions by=stream;
        server { listen unix:@DIR@/a.sock; shmetrics_server first; return hello;
            shmetrics_counter visits protocol=$protocol status=$status "help=Visits of a.";
            shmetrics_histogram sizes protocol=$protocol status=$status value=$bytes_sent buckets=1,10;
            shmetrics_counter never if=$bytes_received; shmetrics_counter wrong value=$protocol; }
        server { listen unix:@DIR@/b.sock; shmetrics off; return ok; shmetrics_gauge size value=$bytes_sent; }"""
        with Nginx(PAGE_SERVER, stream=stream(servers)) as nginx:
            nginx.start()
            for path in ("a.sock", "a.sock", "b.sock"):
                self.session(nginx, path)
            nginx.wait_for(3, "all_sessions_total", by="stream")
            nginx.wait_for(2, "nginx_stream_sessions_total")
            page = nginx.page()
            valid(self, page)
            found = samples(page)
            self.assertEqual(total(found, "visits_total", protocol="TCP", status="200"), 2)
            self.assertEqual(total(found, "sizes_sum", protocol="TCP", status="200"), 10)
            self.assertEqual(total(found, "sizes_bucket", le="1.0"), 0)
            self.assertEqual(total(found, "never_total"), 0)
            self.assertEqual(total(found, "size"), 2)
            self.assertEqual(total(found, "nginx_stream_metric_errors_total", metric="wrong"), 2)
            self.assertIn("# HELP visits_total Visits of a.", page)

    def test_wrong_custom_metrics(self):
        for text, said in (
            ("shmetrics_counter a value=-1;", 'invalid parameter "value=-1"'),
            ("shmetrics_gauge a;", 'needs a parameter "value="'),
            ("shmetrics_counter a x=1; shmetrics_gauge a value=1;", 'the metric "a" has another type'),
            ("shmetrics_counter everywhere;", '"everywhere": there is another metric of this name'),
        ):
            with self.subTest(text=text), Nginx("shmetrics_counter everywhere; " + PAGE_SERVER, stream=text + ECHO.replace("shmetrics off;", "")) as nginx:
                nginx.refused(self, said)

    def test_in_progress_and_received_bytes(self):
        servers = """upstream held { server unix:@DIR@/held.sock; }
        server { listen unix:@DIR@/a.sock; shmetrics_server front; proxy_pass held; }"""
        with Nginx(PAGE_SERVER, stream=stream(servers)) as nginx:
            held = self.held(nginx)
            nginx.start()
            name = "nginx_stream_sessions_in_progress"
            clients = [nginx.connect(nginx.directory / "a.sock") for _ in range(5)]
            for client in clients:
                client.sendall(b"1234567")
            nginx.wait_for_gauge(5, name, server="front")
            for client in clients[:2]:
                client.close()
            taken = [held.accept()[0] for _ in clients]
            for one in taken:
                self.assertEqual(one.recv(100), b"1234567")
                one.close()
            nginx.wait_for(5, "nginx_stream_sessions_total", server="front", status="200")
            self.assertTrue(eventually(lambda: total(nginx.samples(), name) == 0))
            self.assertEqual(total(nginx.samples(), "nginx_stream_received_bytes_total", server="front"), 35)
            clients += [nginx.connect(nginx.directory / "a.sock") for _ in range(2)]
            nginx.wait_for_gauge(2, name)
            nginx.kill_workers()
            nginx.wait_for_gauge(0, name)
            for client in clients:
                client.close()

    def test_udp(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            for one in (server, client):
                one.bind(("127.0.0.1", 0))
                one.settimeout(LIMIT)
            # On an address of its own, nginx finds the port free that the kernel chose.
            port = server.getsockname()[1]
            servers = f"""server {{ listen 127.0.0.7:{port} udp; shmetrics_server datagrams; proxy_responses 1; proxy_pass 127.0.0.1:{port}; }}"""
            with Nginx(PAGE_SERVER, stream=stream(servers)) as nginx:
                nginx.start()
                for i in range(3):
                    client.sendto(b"ping%d" % i, ("127.0.0.7", port))
                    data, sender = server.recvfrom(100)
                    server.sendto(data + b"!", sender)
                    self.assertEqual(client.recv(100), b"ping%d!" % i)
                nginx.wait_for(3, "nginx_stream_sessions_total", server="datagrams", protocol="udp", status="200")
                found = nginx.samples()
                self.assertEqual(total(found, "nginx_stream_received_bytes_total"), 15)
                self.assertEqual(total(found, "nginx_stream_sent_bytes_total"), 18)

    def test_tls(self):
        servers = """ssl_certificate @DIR@/cert.pem; ssl_certificate_key @DIR@/key.pem;
        server { listen unix:@DIR@/tls.sock ssl; shmetrics_server secret; ssl_session_cache shared:stream:1m; return ok; }"""
        with Nginx(PAGE_SERVER, stream=stream(servers)) as nginx:
            if not nginx.certify():
                print("skipped: TLS of sessions (no openssl)")
                return
            nginx.start()
            context, session = tls_context(ssl.TLSVersion.TLSv1_2), None
            for _ in range(2):
                with context.wrap_socket(nginx.connect(nginx.directory / "tls.sock"), session=session) as client:
                    self.assertEqual(client.recv(100), b"ok")
                    session = client.session
            nginx.send(b"this is no handshake at all, whatever else it may be\r\n\r\n", nginx.directory / "tls.sock")
            nginx.connect(nginx.directory / "tls.sock").close()
            nginx.wait_for(4, "nginx_stream_sessions_total", server="secret")
            found = nginx.samples()
            name = "nginx_stream_tls_handshakes_total"
            self.assertEqual(total(found, name, server="secret", protocol="TLSv1.2", reused="false"), 1)
            self.assertEqual(total(found, name, server="secret", protocol="TLSv1.2", reused="true"), 1)
            self.assertEqual(total(found, "nginx_stream_tls_handshake_failures_total", server="secret"), 2)

    def test_limits(self):
        servers = """limit_conn_zone $server_addr zone=z:1m; upstream held { server unix:@DIR@/held.sock; }
        server { listen unix:@DIR@/a.sock; shmetrics_server front; limit_conn z 2; proxy_pass held; }"""
        with Nginx(PAGE_SERVER, stream=stream(servers)) as nginx:
            held = self.held(nginx)
            nginx.start()
            clients = [nginx.connect(nginx.directory / "a.sock") for _ in range(2)]
            nginx.wait_for_gauge(2, "nginx_stream_sessions_in_progress")
            self.assertEqual(self.session(nginx, "a.sock"), b"")
            for client in clients:
                client.close()
            held.close()
            nginx.wait_for(1, "nginx_stream_limit_conn_sessions_total", server="front", status="rejected")
            nginx.wait_for(1, "nginx_stream_sessions_total", server="front", status="503")
            self.assertEqual(total(nginx.samples(), "nginx_connections", state="active") > 0, True)

    def test_groups_that_are_off_are_not_there(self):
        servers = "shmetrics_families sessions; server { listen unix:@DIR@/a.sock; return ok; }"
        with Nginx(PAGE_SERVER, stream=stream(servers)) as nginx:
            nginx.start()
            self.session(nginx, "a.sock")
            nginx.wait_for(1, "nginx_stream_sessions_total")
            self.assertEqual({name for name, _ in nginx.samples() if name.startswith("nginx_")}, {"nginx_stream_sessions_total"})

    def test_one_page_with_http_over_reloads_upgrades_and_kills(self):
        http = "shmetrics on; server { listen @SOCKET@; server_name shop; location / { return 200 ok; } " + PAGE + " }"
        with Nginx(http, stream=stream("server { listen unix:@DIR@/a.sock; shmetrics_server s; return ok; }")) as nginx:
            nginx.start()
            for round_, step in enumerate((lambda: None, nginx.reload, nginx.kill_worker, nginx.upgrade, nginx.reload), 1):
                step()
                for _ in range(5):
                    self.assertEqual(self.session(nginx, "a.sock"), b"ok")
                    self.assertEqual(nginx.get().status, 200)
                nginx.wait_for(5 * round_, "nginx_stream_sessions_total", server="s")
                nginx.wait_for(5 * round_, "nginx_http_requests_total", server="shop", status="200")
            self.assertEqual(nginx.told(), [])

    def test_connections_under_the_names_of_http(self):
        with Nginx("shmetrics_names exporter; " + PAGE_SERVER, stream=stream("server { listen unix:@DIR@/a.sock; return ok; }")) as nginx:
            nginx.start()
            self.session(nginx, "a.sock")
            nginx.wait_for(1, "nginx_stream_sessions_total")
            names = {name for name, _ in nginx.samples() if name.startswith("nginx_connections")}
            self.assertEqual(names, {f"nginx_connections_{name}" for name in ("accepted", "handled", "active", "reading", "writing", "waiting")})

    def test_errors_name_the_line_and_the_reason(self):
        cases = [
            ("shmetrics maybe;", "it must be"),
            ("shmetrics_families requests;", 'unknown families "requests": they are sessions, in_progress, duration'),
            ("shmetrics_buckets 2 1;", "bounds must rise"),
            ("shmetrics_max_series x;", "invalid number"),
            ("server { shmetrics_buckets 1; listen 1; return x; }", "is not allowed here"),
        ]
        for text, said in cases:
            with self.subTest(text=text), Nginx(PAGE_SERVER, stream=text) as nginx:
                nginx.refused(self, said, text)
        with self.subTest("no zone"), Nginx("", main="", stream="shmetrics on; server { listen unix:@DIR@/a.sock; return x; }") as nginx:
            nginx.refused(self, 'there is no "shmetrics_zone" directive')
