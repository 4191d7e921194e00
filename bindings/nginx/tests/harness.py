"""An nginx of its own for a test: in a private directory, on Unix sockets, with a segment of its own."""

import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time

try:
    from prometheus_client import parser
except ImportError:
    parser = None

ROOT = pathlib.Path(__file__).resolve().parents[3]
EXAMPLE = ROOT / "bindings/nginx/example/nginx.conf"
PROMTOOL = shutil.which("promtool")
APP = os.environ.get("NGINX_APP", "")
MODULE = os.environ["NGINX_MODULE"]
STREAM_MODULE = os.environ["NGINX_STREAM_MODULE"]
# The models of the presets. Debian has no package of nginx-module-vts.
EXPORTER = shutil.which("prometheus-nginx-exporter")
VTS = os.environ.get("NGINX_VTS")
# nginx' own, which the package libnginx-mod-stream has.
STREAM = os.environ["NGINX_STREAM"]
NGINX = os.environ.get("NGINX_PROGRAM") or shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")
# Under valgrind or a sanitizer, a start takes seconds.
NGINX_IS_SLOW = bool(os.environ.get("NGINX_IS_SLOW"))
LIMIT = 60  # seconds until what must happen counts as not happening

PAGE = "location = /metrics { shmetrics off; shmetrics_page; }"
SERVER = "shmetrics on; server { listen @SOCKET@; server_name shop; location / { shmetrics_location root; return 200 ok; } " + PAGE + " }"

SAMPLE = re.compile(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"(?:,|$)')


def samples(page):
    """{(name, frozenset of labels): value} of a page in the text format."""
    found = {}
    for line in page.split("\n"):
        match = SAMPLE.match(line)
        if match:
            name, labels, value = match.groups()
            key = name, frozenset(LABEL.findall(labels or ""))
            assert key not in found, f"twice on the page: {line}"
            found[key] = float(value)
    return found


def total(found, name, /, **labels):
    """The sum of the samples of this name with these labels."""
    wanted = set(labels.items())
    return sum(value for (sample, has), value in found.items() if sample == name and wanted <= has)


def eventually(check):
    deadline = time.monotonic() + LIMIT
    while True:
        result = check()
        if result or time.monotonic() > deadline:
            return result
        time.sleep(0.05)


def alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


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


def tls_context(version=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if version:
        context.minimum_version = context.maximum_version = version
    return context


class Answer:
    def __init__(self, data):
        head, _, body = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        self.status = int(lines[0].split()[1]) if lines[0].startswith("HTTP/") else 0
        self.headers = {}
        for line in lines[1:]:
            key, _, value = line.partition(":")
            self.headers.setdefault(key.lower(), value.strip())
        if self.headers.get("transfer-encoding") == "chunked":
            parts, rest = [], body
            while rest:
                size, _, rest = rest.partition(b"\r\n")
                length = int(size, 16)
                if length == 0:
                    break
                parts.append(rest[:length])
                rest = rest[length + 2 :]
            else:
                raise AssertionError("the last chunk is missing")
            body = b"".join(parts)
        self.body = body


class Load:
    """Clients that send one request after another until the block ends. Then `sent` and `answered`
    are their sums."""

    def __init__(self, nginx, clients, pause=0):
        self.nginx, self.pause, self.stop = nginx, pause, threading.Event()
        self.counts = [[0, 0] for _ in range(clients)]
        # Daemons: a test that fails does not wait for them.
        self.threads = [threading.Thread(target=self.ask, args=(mine,), daemon=True) for mine in self.counts]

    def ask(self, mine):
        while not self.stop.wait(self.pause):
            mine[0] += 1
            try:
                mine[1] += self.nginx.get().status == 200
            except (OSError, AssertionError, ValueError):
                pass  # the worker was killed, before its answer or in it

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join()
        self.sent, self.answered = (sum(column) for column in zip(*self.counts))


class Nginx:
    """`main` is put into the main context, `http` into http{}, `stream` into stream{}."""

    number = 2  # of workers

    def __init__(self, http="", main=None, zone="", master="on", stream=""):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="shmetrics-nginx-"))
        self.shm = pathlib.Path(tempfile.mkdtemp(prefix="shmetrics-nginx-", dir="/dev/shm"))
        self.directory.chmod(0o755)
        self.shm.chmod(0o1777)  # an application of another user may be first
        self.segment = self.shm / "zone"
        self.socket = self.directory / "http.sock"
        self.config = self.directory / "nginx.conf"
        self.log = self.directory / "error.log"
        self.pid_file = self.directory / "nginx.pid"
        self.zone = zone
        self.master = master
        self.stream = stream
        self.configure(http, main)

    def configure(self, http, main=None, complete=None):
        user = "user www-data;" if os.geteuid() == 0 else ""
        if main is None:
            main = f"shmetrics_zone {self.segment} {self.zone};"
        # An upgrade passes on only these.
        kept = "env LD_PRELOAD; env ASAN_OPTIONS;\n" if NGINX_IS_SLOW else ""
        modules = kept + "".join(f"load_module {module};\n" for module in self.modules())
        text = complete or (
            f"{modules}{user}\nworker_processes {self.number};\npid {self.pid_file};\n"
            f"error_log {self.log} notice;\nmaster_process {self.master};\n{main}\n"
            f"events {{ worker_connections 256; }}\nhttp {{\naccess_log off;\n"
            f"client_body_temp_path {self.directory}/body; proxy_temp_path {self.directory}/proxy;\n"
            f"fastcgi_temp_path {self.directory}/f; uwsgi_temp_path {self.directory}/u; scgi_temp_path {self.directory}/s;\n{http}\n}}\n"
        )
        if self.stream:
            text += f"stream {{\n{self.stream}\n}}\n"
        self.config.write_text(text.replace("@DIR@", str(self.directory)).replace("@SOCKET@", f"unix:{self.socket}"), encoding="latin-1", errors="replace")

    def modules(self):
        return [STREAM, MODULE, STREAM_MODULE] if self.stream else [MODULE]

    def configure_example(self, http=""):
        """The example of the manual, on Unix sockets: http.sock, metrics.sock and, of the application, app.sock."""
        text = EXAMPLE.read_text()
        for old, new in (
            ("modules/ngx_http_shmetrics_module.so", MODULE),
            ("shmetrics_zone shop", f"shmetrics_zone {self.segment}"),
            # The application is this user's here, so this user is the owner.
            ("owner=www-data group=www-data", ""),
            ("listen 80;", "listen @SOCKET@;"),
            ("listen 127.0.0.1:9145;", "listen unix:@DIR@/metrics.sock;"),
            ("server 127.0.0.1:8000;", "server unix:@DIR@/app.sock;"),
            ("allow 127.0.0.1;", "allow unix:;"),
            ("user www-data;", "user www-data;" if os.geteuid() == 0 else ""),
        ):
            assert old in text, old
            text = text.replace(old, new)
        here = f"pid {self.pid_file}; error_log {self.log} notice;\n"
        temporary = "".join(f"{name}_temp_path @DIR@/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        self.configure("", complete=here + text.replace("http {", "http {" + temporary + http + "access_log off;", 1))

    def test(self):
        """`nginx -t`: whether it is right, and what it says."""
        done = subprocess.run([NGINX, "-t", "-c", self.config, "-p", self.directory], capture_output=True, text=True, errors="replace", check=False)
        self.tested = done.returncode
        return done.returncode == 0, done.stderr

    def refused(self, test, said, marker=None):
        """Asserts that the configuration is wrong, with this reason, in the line that has `marker`."""
        right, output = self.test()
        test.assertFalse(right, output)
        test.assertIn(said, output)
        if marker:
            line = next(i for i, line in enumerate(self.config.read_text().split("\n"), 1) if marker[:20] in line)
            test.assertIn(f"{self.config}:{line}", output)

    def start(self):
        # By its whole path, and as a daemon: otherwise it ignores USR2.
        done = subprocess.run([NGINX, "-c", self.config, "-p", self.directory, "-e", self.log], stderr=subprocess.DEVNULL, check=False)
        assert done.returncode == 0 and eventually(self.answers), self.errors()
        return self

    def answers(self):
        try:
            with self.connect():
                return self.written_pid() != ""
        except OSError:
            return False

    def connect(self, to=None):
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(LIMIT)
        try:
            client.connect(str(to or self.socket))
        except OSError:
            client.close()
            raise
        return client

    def certify(self):
        """cert.pem and key.pem in the directory. Without openssl, False."""
        if not shutil.which("openssl"):
            return False
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=shop",
                        "-keyout", self.directory / "key.pem", "-out", self.directory / "cert.pem"], check=True, capture_output=True)
        return True

    def send(self, data, to=None):
        """Sends these bytes and returns all that comes back."""
        with self.connect(to) as client:
            if data:  # the peer may be gone
                client.sendall(data)
            parts = []
            try:
                while part := client.recv(1 << 16):
                    parts.append(part)
            except ConnectionResetError:
                pass
            return b"".join(parts)

    def send_and_leave(self, data):
        """Sends these bytes, and may be refused before nginx has taken all."""
        try:
            self.send(data + b"\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):
            pass

    def get(self, path="/", method="GET", host="localhost", headers=()):
        lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", "Connection: close", *headers]
        return Answer(self.send(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")))

    def page(self, path="/metrics"):
        answer = self.get(path)
        assert answer.status == 200, (answer.status, answer.body, self.errors())
        return answer.body.decode()

    def samples(self):
        return samples(self.page())

    def wait_for(self, value, name, **labels):
        """Requests are counted after their answer. Fails if the sum does not become `value`."""
        seen = []
        eventually(lambda: seen.append(total(self.samples(), name, **labels)) or seen[-1] >= value)
        assert seen[-1] == value, f"{name} {labels} is {seen[-1]}, not {value}"

    def wait_for_gauge(self, value, name, **labels):
        """Requests before may still be in progress: so the value may be passed on the way down."""
        assert eventually(lambda: total(self.samples(), name, **labels) == value), f"{name} {labels} never was {value}"

    def written_pid(self):
        """Of the master; empty while nginx writes the file, or renames it."""
        try:
            return self.pid_file.read_text().strip()
        except FileNotFoundError:
            return ""

    def master_pid(self):
        return int(self.pid_file.read_text())

    def workers(self, master=None):
        listed = subprocess.run(["ps", "-o", "pid=,args=", "--ppid", str(master or self.master_pid())], capture_output=True, text=True, check=False)
        return [int(line.split()[0]) for line in listed.stdout.splitlines() if "worker process" in line and "shutting down" not in line]

    def both_workers(self):
        """A worker that was forked just now has its title later."""
        assert eventually(lambda: len(self.workers()) == 2), self.errors()
        return set(self.workers())

    def reload(self):
        """Returns when the old workers are gone."""
        before = self.both_workers()
        os.kill(self.master_pid(), signal.SIGHUP)
        assert eventually(lambda: len(self.workers()) == 2 and not before & set(self.workers())), self.errors()

    def kill_worker(self):
        victim = min(self.both_workers())
        os.kill(victim, signal.SIGKILL)
        assert eventually(lambda: victim not in self.workers() and len(self.workers()) == 2), self.errors()

    def kill_workers(self):
        before = self.both_workers()
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        assert eventually(lambda: len(set(self.workers()) - before) == 2), self.errors()

    def upgrade(self):
        """USR2, then QUIT of the old master."""
        old = self.master_pid()
        os.kill(old, signal.SIGUSR2)
        assert eventually(lambda: self.written_pid() not in ("", str(old))), self.errors()
        new = self.master_pid()
        assert eventually(lambda: len(self.workers(new)) == 2), self.errors()
        os.kill(old, signal.SIGQUIT)
        assert eventually(lambda: not alive(old)), self.errors()

    def errors(self):
        return self.log.read_text() if self.log.exists() else ""

    def told(self):
        return [line for line in self.errors().splitlines() if "shmetrics: segment" in line]

    def stop(self):
        try:
            pid = self.master_pid()
            os.kill(pid, signal.SIGTERM)
            eventually(lambda: not alive(pid))
        except (OSError, ValueError):
            pass  # it did not start
        shutil.rmtree(self.directory, ignore_errors=True)
        shutil.rmtree(self.shm, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
