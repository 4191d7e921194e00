"""The package's own HTTP server: no client keeps it from answering another one, and none makes it
print.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import threading
import urllib.request

import pytest

from shmetrics import Metric, exposition


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    directory = tmp_path_factory.mktemp("tls")
    key, certificate = directory / "key.pem", directory / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    try:
        subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("no openssl")
    return {"certfile": str(certificate), "keyfile": str(key)}


class Large:
    """A page that no socket's buffers take."""

    def __init__(self):
        self.family = Metric("served", "Help.", "counter")
        for i in range(40):
            self.family.add_sample("served_total", {"path": "%d" % i + "x" * 400_000}, 1)

    def collect(self):
        return [self.family]


class Served:
    """A server, and what a test does as its client. Connections are open to the end of the test."""

    def __init__(self, registry, tls=None):
        self._tls = ssl._create_unverified_context() if tls else None
        self._server, self._thread = exposition.start_http_server(0, "127.0.0.1", registry, **(tls or {}))
        self._connections = []

    def clients(self):
        return self._server._clients

    def scrape(self, query="?name[]=none"):
        url = "%s://127.0.0.1:%d/metrics%s" % ("https" if self._tls else "http", self._server.server_port, query)
        with urllib.request.urlopen(url, timeout=120, context=self._tls) as answer:
            return answer.status, answer.read()

    def connect(self, sent=None):
        """A connection, on which a client has sent these bytes; with None, nothing of TLS either."""
        connection = socket.create_connection(("127.0.0.1", self._server.server_port), timeout=120)
        if sent is not None:
            connection = self._tls.wrap_socket(connection) if self._tls else connection
            connection.sendall(sent)
        self._connections.append(connection)
        return connection

    def close(self):
        for connection in self._connections:
            connection.close()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture(params=["http", "https"])
def server(request, registry):
    registry.register(Large())
    server = Served(registry, request.getfixturevalue("certificate") if request.param == "https" else None)
    yield server
    server.close()


PAGE = b"GET /metrics HTTP/1.0\r\n\r\n"


def test_silent_clients_keep_out_nobody(server):
    """More of them than there are places: they send nothing, not even what begins TLS."""
    silent = [server.connect() for _ in range(exposition._MAX_CLIENTS + 8)]
    for _ in range(3):
        assert server.scrape()[0] == 200
    # They have made room: the first ones.
    assert silent[0].recv(1) == b""


def test_halves_of_requests_keep_out_nobody(server):
    for _ in range(8):
        server.connect(b"GET /metrics HTTP/1.1\r\nHost: ")
    assert server.scrape()[0] == 200


def test_those_who_do_not_read_keep_out_nobody(server):
    for _ in range(4):
        assert server.connect(PAGE).recv(4) == b"HTTP"  # the answer has begun
    status, page = server.scrape("")
    assert status == 200 and page.count(b"served_total{") == 40


def test_none_stays_for_ever(server, monkeypatch):
    """Neither one that sends a byte now and then, nor one that reads so."""
    slow = server.connect(b"G")
    assert server.connect(PAGE).recv(4) == b"HTTP"
    assert len(server.clients()) == 2
    monkeypatch.setattr(exposition, "_REQUEST_SECONDS", 0.0)
    monkeypatch.setattr(exposition, "_TOTAL_SECONDS", 0.0)
    try:
        assert slow.recv(1) == b""
    except OSError:
        pass  # reset, or ended without TLS' farewell
    wait_for(lambda: not server.clients())
    monkeypatch.undo()
    assert server.scrape()[0] == 200


def test_threads_are_bounded(server, monkeypatch):
    monkeypatch.setattr(exposition, "_MAX_CLIENTS", 4)
    before = threading.active_count()
    for _ in range(100):
        server.connect()
    assert server.scrape()[0] == 200
    assert threading.active_count() - before <= 8


def test_a_place_is_given_back_without_a_thread(server, monkeypatch):
    def refuse(thread):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as without_threads:
        without_threads.setattr(threading.Thread, "start", refuse)
        assert server.connect().recv(1) == b""
    assert not server.clients()
    assert server.scrape()[0] == 200


def test_odd_clients_make_it_print_nothing(server, capfd):
    for sent in (b"", b"\r\n\r\n", b"\x16\x03\x01", b"GET\r\n\r\n", b"\xff" * 100_000, b"GET / HTTP/1.0\r\n" + b"a: b\r\n" * 200 + b"\r\n"):
        with server.connect() as connection:
            try:
                connection.sendall(sent)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65536):
                    pass
            except OSError:
                pass
    with server.connect(PAGE) as gone:  # in the middle of the answer
        assert gone.recv(4) == b"HTTP"
    wait_for(lambda: not server.clients())
    assert server.scrape()[0] == 200
    assert capfd.readouterr() == ("", "")


def test_a_name_server_is_not_asked(registry, monkeypatch):
    def fail(*_):
        raise AssertionError("a name server is asked")

    monkeypatch.setattr(socket, "getfqdn", fail)
    with contextlib.closing(Served(registry)) as server:
        assert server.scrape()[0] == 200


def wait_for(condition):
    waited = threading.Event()
    for _ in range(12000):
        if condition():
            return
        waited.wait(0.01)
    raise AssertionError("it does not come")
