"""What operators met and other tests do not have: a pod of two users, and certificates as people make them with openssl."""

from __future__ import annotations

import ctypes
import http.client
import os
import shutil
import signal
import ssl
import subprocess
import tempfile
import unittest
from email.message import Message
from pathlib import Path

import shm
from daemons import exporter, request
from harness import main, needs
from processes import child, in_child
from targets import Server

COMMAND = shm.RELEASE / "shmetrics"
CLONE_NEWNS = 0x20000
APPLICATION, EXPORTER = 1000, 2000
WATCHDOG_SECONDS = 60


def count_as_application(ready: int) -> None:
    """In a process of its own: another user, in the group of the volume."""
    os.setgroups([EXPORTER])
    os.setgid(APPLICATION)
    os.setuid(APPLICATION)
    shm.Segment("shop").register("counter", "jobs", "Jobs.").with_().update("inc")
    os.write(ready, b".")
    signal.pause()


def pod(directory: str, mode: str) -> tuple[int, str] | None:
    """The exporter's answer, in a mount namespace with a read-only root and a volume of 64 MiB in memory; None without the rights."""
    if ctypes.CDLL(None).unshare(CLONE_NEWNS) != 0:
        return None
    volume = ["-t", "tmpfs", "-o", f"size=64m,mode=2770,gid={EXPORTER}", "tmpfs", directory]
    for arguments in (["--make-rprivate", "/"], volume, ["-o", "remount,bind,ro", "/"]):
        if subprocess.run(["mount", *arguments], check=False, capture_output=True).returncode:
            return None
    os.environ.update(SHMETRICS_DIR=directory, SHMETRICS_MODE=mode, SHMETRICS_GROUP=str(EXPORTER))
    ours, theirs = os.pipe()
    application = os.fork()
    if application == 0:
        child(lambda: count_as_application(theirs))
    os.close(theirs)
    assert os.read(ours, 1) == b".", "the application does not count"
    # The other user may have no right to look into the directory of the command.
    command = os.open(COMMAND, os.O_RDONLY)
    user = {"user": EXPORTER, "group": EXPORTER, "extra_groups": [], "env": {"SHMETRICS_DIR": directory}}
    try:
        with exporter("shop", executable=f"/proc/self/fd/{command}", pass_fds=[command], **user) as port:
            return request(f"http://127.0.0.1:{port}/metrics")
    finally:
        os.kill(application, signal.SIGKILL)
        os.waitpid(application, 0)


@unittest.skipUnless(os.geteuid() == 0, "only root makes pods")
class Pod(unittest.TestCase):
    def answer(self, mode: str) -> tuple[int, str]:
        # Not below $TMPDIR: both users must get there.
        directory = tempfile.mkdtemp(dir="/tmp")
        self.addCleanup(os.rmdir, directory)
        answer = in_child(lambda: pod(directory, mode))
        if answer is None:
            self.skipTest("no mount namespace may be made here")
        return answer

    def test_an_exporter_of_another_user_reads_the_segment(self) -> None:
        status, page = self.answer("0640")
        self.assertEqual(status, 200, page)
        self.assertIn("\njobs_total 1\n", page)
        self.assertIn("\nshmetrics_segment_in_use 1\n", page)

    def test_without_the_mode_the_answer_tells_the_reason(self) -> None:
        status, why = self.answer("0600")
        self.assertEqual(status, 503)
        self.assertRegex(why, "(?i)permission")


class Gateway(Server):
    def request(self, path: str, headers: Message, body: bytes) -> tuple[str, bytes]:
        return "text/plain", b""


@needs("openssl")
class SelfSigned(unittest.TestCase):
    def setUp(self) -> None:
        self.directory = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.directory)
        self.name = f"signed-{os.getpid()}"
        shm.Segment(self.name)
        self.addCleanup(shm.remove, self.name)

    def certify(self, *more: str) -> None:
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=self"]
        command += ["-keyout", "key.pem", "-out", "cert.pem", "-addext", "subjectAltName=IP:127.0.0.1", *more]
        subprocess.run(command, cwd=self.directory, check=True, capture_output=True)

    def push(self) -> tuple[int, str]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.directory / "cert.pem", self.directory / "key.pem")
        gateway = Gateway()
        gateway.server.socket = context.wrap_socket(gateway.server.socket, server_side=True)
        gateway.server.handle_error = lambda *_: None  # a client that refuses the certificate
        with gateway:
            command = [str(COMMAND), "push", self.name, "--gateway", f"https://127.0.0.1:{gateway.port}", "--job", "self"]
            command += ["--ca-file", str(self.directory / "cert.pem"), "--retries", "0"]
            pushed = subprocess.run(command, capture_output=True, text=True, timeout=WATCHDOG_SECONDS, check=False)
        return pushed.returncode, pushed.stderr

    def test_a_push_accepts_one_that_is_no_authority(self) -> None:
        self.certify("-addext", "basicConstraints=critical,CA:FALSE")
        self.assertEqual(self.push(), (0, ""))

    def test_a_push_says_how_to_make_one(self) -> None:
        self.certify()
        status, said = self.push()
        self.assertEqual(status, 1)
        self.assertIn("-addext basicConstraints=CA:FALSE", said)

    def test_a_client_that_is_refused_is_counted_and_told_once(self) -> None:
        self.certify()
        web = self.directory / "web.yml"
        web.write_text(
            "tls_server_config: {cert_file: cert.pem, key_file: key.pem, client_auth_type: VerifyClientCertIfGiven, client_ca_file: cert.pem}\n"
        )
        log = self.directory / "log"
        context, bad = (ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) for _ in range(2))
        for one in (context, bad):
            one.check_hostname, one.verify_mode = False, ssl.CERT_NONE
        bad.load_cert_chain(self.directory / "cert.pem", self.directory / "key.pem")
        with log.open("w") as lines, exporter(self.name, "--web.config.file", str(web), stderr=lines) as port:
            self.assertIn("\nshmetrics_serve_tls_errors_total 0\n", self.ask(port, context))
            for _ in range(3):
                self.assertEqual(self.ask(port, bad), "")
            self.assertIn("\nshmetrics_serve_tls_errors_total 3\n", self.ask(port, context))
        self.assertEqual(log.read_text().count("no encryption with 127.0.0.1"), 1)

    @staticmethod
    def ask(port: int, context: ssl.SSLContext) -> str:
        """The page; nothing if the connection is refused."""
        client = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=WATCHDOG_SECONDS)
        try:
            client.request("GET", "/metrics")
            return client.getresponse().read().decode()
        except OSError:
            return ""
        finally:
            client.close()


if __name__ == "__main__":
    main()
