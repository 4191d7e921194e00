"""The dashboard packaging/grafana/nginx.json: a real Prometheus scrapes nginx, and each query of each panel has data."""

import pathlib
import shutil
import sys
import threading
import unittest

from harness import STREAM, Nginx, tls_context

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "tests/interop"))

MISSING = None if shutil.which("prometheus") else "prometheus is not installed"
try:
    import grafana
    from daemons import Prometheus
    from targets import Target
except ImportError as problem:
    MISSING, Target = f"{problem.name} is not in target/venv; scripts/setup.sh test", object
if MISSING:
    print(f"skipped: the dashboard of nginx ({MISSING})")

HTTP = """shmetrics on; shmetrics_counter shop_weight value=$arg_weight; proxy_cache_path @DIR@/cache keys_zone=cache:1m;
limit_req_zone $server_name zone=often:1m rate=1000r/s; limit_conn_zone $server_name zone=many:1m;
upstream app { server unix:@DIR@/nobody.sock max_fails=0; server unix:@DIR@/app.sock; }
server { listen unix:@DIR@/app.sock; shmetrics off; location / { return 200 hello; } }
server { listen @SOCKET@; server_name shop;
    location / { shmetrics_location proxied; limit_req zone=often; limit_conn many 100; proxy_pass http://app; }
    location /cached { shmetrics_location cached; proxy_cache cache; proxy_cache_valid 200 1h; proxy_pass http://unix:@DIR@/app.sock:/; }
    location = /metrics { shmetrics off; shmetrics_page; } }
server { listen unix:@DIR@/tls.sock ssl; server_name secret; ssl_certificate @DIR@/cert.pem; ssl_certificate_key @DIR@/key.pem;
    location / { return 200 ok; } }
"""
SESSIONS = """shmetrics on; upstream app { server unix:@DIR@/nobody.sock max_fails=0; server unix:@DIR@/hello.sock; }
server { listen unix:@DIR@/hello.sock; shmetrics off; return hello; }
server { listen unix:@DIR@/stream.sock; shmetrics_server stream; proxy_pass app; }
"""


class Page(Target):
    """nginx listens on a Unix socket, and Prometheus asks at a port."""

    def __init__(self, nginx):
        super().__init__()
        self.nginx = nginx

    def answer(self, path, accept):
        answer = self.nginx.get(path, headers=[f"Accept: {accept}"])
        return answer.headers["content-type"], answer.body


class Visitors(threading.Thread):
    """Ask until the end, so that each rate has something to measure."""

    def __init__(self, nginx):
        super().__init__()
        self.nginx, self.over, self.problem = nginx, threading.Event(), None

    def run(self):
        try:
            while not self.over.wait(0.05):
                for path in ("/", "/cached", "/?weight=heavy"):
                    self.nginx.get(path)
                self.shake_hands()
                with self.nginx.connect(self.nginx.directory / "tls.sock") as client:
                    # It goes in the middle of its handshake.
                    client.sendall(b"\x16\x03\x01\x02\x00\x01")
                if STREAM:
                    with self.nginx.connect(self.nginx.directory / "stream.sock") as session:
                        while session.recv(4096):
                            pass
        except Exception as problem:
            self.problem = problem

    def shake_hands(self):
        with tls_context().wrap_socket(self.nginx.connect(self.nginx.directory / "tls.sock"), server_hostname="secret") as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: secret\r\nConnection: close\r\n\r\n")
            while client.recv(4096):
                pass


@unittest.skipIf(MISSING, MISSING)
class Dashboard(unittest.TestCase):
    @unittest.skipUnless(shutil.which("openssl"), "no openssl")
    def test_each_query_has_data(self):
        with Nginx(HTTP, stream=SESSIONS if STREAM else "") as nginx:
            nginx.certify()
            nginx.start()
            visitors = Visitors(nginx)
            with Page(nginx) as page, Prometheus({"nginx": page.port}) as prometheus:
                visitors.start()
                try:
                    left = grafana.without_data("nginx", prometheus.values, empty=() if STREAM else ("nginx_stream_",))
                finally:
                    visitors.over.set()
                    visitors.join()
            self.assertIsNone(visitors.problem)
            self.assertEqual(left, [])
