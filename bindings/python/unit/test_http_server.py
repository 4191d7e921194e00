"""The package's own HTTP server: no client keeps it from answering another one, and none makes it
print.
"""

from __future__ import annotations

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


@pytest.fixture(params=["http", "https"])
def server(request, registry):
    """The server, and its port and scheme."""
    tls = request.getfixturevalue("certificate") if request.param == "https" else {}
    registry.register(Large())
    server, thread = exposition.start_http_server(0, "127.0.0.1", registry, **tls)
    yield server, request.param
    server.shutdown()
    server.server_close()
    thread.join()


def scrape(server, scheme, query="?name[]=none"):
    context = ssl._create_unverified_context() if scheme == "https" else None
    url = "%s://127.0.0.1:%d/metrics%s" % (scheme, server.server_port, query)
    with urllib.request.urlopen(url, timeout=120, context=context) as answer:
        return answer.status, answer.read()


def connect(server, scheme="http"):
    connection = socket.create_connection(("127.0.0.1", server.server_port), timeout=120)
    if scheme == "https":
        connection = ssl._create_unverified_context().wrap_socket(connection)
    return connection


def test_silent_clients_keep_out_nobody(server):
    """More of them than there are places: they send nothing, not even what begins TLS."""
    server, scheme = server
    silent = [connect(server) for _ in range(exposition._MAX_CLIENTS + 8)]
    for _ in range(3):
        assert scrape(server, scheme)[0] == 200
    # They have made room: the first ones.
    assert silent[0].recv(1) == b""
    for connection in silent:
        connection.close()


def test_halves_of_requests_keep_out_nobody(server):
    server, scheme = server
    half = [connect(server, scheme) for _ in range(8)]
    for connection in half:
        connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: ")
    assert scrape(server, scheme)[0] == 200
    for connection in half:
        connection.close()


def test_those_who_do_not_read_keep_out_nobody(server):
    server, scheme = server
    lazy = [connect(server, scheme) for _ in range(4)]
    for connection in lazy:
        connection.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        assert connection.recv(4) == b"HTTP"  # the answer has begun
    status, page = scrape(server, scheme, "")
    assert status == 200 and page.count(b"served_total{") == 40
    for connection in lazy:
        connection.close()


def test_none_stays_for_ever(server, monkeypatch):
    """Neither one that sends a byte now and then, nor one that reads so."""
    server, scheme = server
    slow = connect(server, scheme)
    slow.sendall(b"G")
    lazy = connect(server, scheme)
    lazy.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
    assert lazy.recv(4) == b"HTTP"
    assert len(server._clients) == 2
    monkeypatch.setattr(exposition, "_REQUEST_SECONDS", 0.0)
    monkeypatch.setattr(exposition, "_TOTAL_SECONDS", 0.0)
    try:
        assert slow.recv(1) == b""
    except OSError:
        pass  # reset, or ended without TLS' farewell
    wait_for(lambda: not server._clients)
    monkeypatch.undo()
    assert scrape(server, scheme)[0] == 200
    lazy.close()
    slow.close()


def test_threads_are_bounded(server, monkeypatch):
    server, scheme = server
    monkeypatch.setattr(exposition, "_MAX_CLIENTS", 4)
    before = threading.active_count()
    many = [connect(server) for _ in range(100)]
    assert scrape(server, scheme)[0] == 200
    assert threading.active_count() - before <= 8
    for connection in many:
        connection.close()


def test_a_place_is_given_back_without_a_thread(server, monkeypatch):
    server, scheme = server
    start = threading.Thread.start

    def refuse(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert connect(server).recv(1) == b""
    monkeypatch.setattr(threading.Thread, "start", start)
    assert not server._clients
    assert scrape(server, scheme)[0] == 200


def test_odd_clients_make_it_print_nothing(server, capfd):
    server, scheme = server
    for sent in (b"", b"\r\n\r\n", b"\x16\x03\x01", b"GET\r\n\r\n", b"\xff" * 100_000, b"GET / HTTP/1.0\r\n" + b"a: b\r\n" * 200 + b"\r\n"):
        with connect(server) as connection:
            try:
                connection.sendall(sent)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65536):
                    pass
            except OSError:
                pass
    with connect(server, scheme) as gone:  # in the middle of the answer
        gone.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        assert gone.recv(4) == b"HTTP"
    wait_for(lambda: not server._clients)
    assert scrape(server, scheme)[0] == 200
    assert capfd.readouterr() == ("", "")


def test_a_name_server_is_not_asked(registry, monkeypatch):
    def fail(*_):
        raise AssertionError("a name server is asked")

    monkeypatch.setattr(socket, "getfqdn", fail)
    server, thread = exposition.start_http_server(0, "127.0.0.1", registry)
    assert scrape(server, "http")[0] == 200
    server.shutdown()
    server.server_close()
    thread.join()


def wait_for(condition):
    waited = threading.Event()
    for _ in range(12000):
        if condition():
            return
        waited.wait(0.01)
    raise AssertionError("it does not come")
