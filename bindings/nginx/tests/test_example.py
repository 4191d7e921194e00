"""The example: nginx, gunicorn with prometheus_client, and a cron job on one segment and one page."""

import os
import pathlib
import signal
import subprocess
import sys
import unittest

from harness import EXAMPLE, ROOT, Nginx, eventually, samples, total, valid

# The environment of the Python step, which runs before this one.
PYTHON = os.environ.get("NGINX_PYTHON") or str(ROOT / "target/python-tests/{}.{}/venv/bin/python".format(*sys.version_info))


def has_application():
    if not pathlib.Path(PYTHON).exists():
        return False
    return subprocess.run([PYTHON, "-c", "import gunicorn, prometheus_client, shmetrics"], capture_output=True, check=False).returncode == 0


class Example(unittest.TestCase):
    def test_nginx_gunicorn_and_a_cron_job_on_one_page(self):
        if not has_application():
            print("skipped: the example of nginx with gunicorn (the step python has not run)")
            return
        with Nginx() as nginx:
            nginx.configure_example()
            nginx.start()
            nginx_socket, nginx.socket = nginx.socket, nginx.directory / "metrics.sock"
            files = nginx.directory / "prometheus"
            files.mkdir()
            environment = {name: value for name, value in os.environ.items() if not name.startswith(("PROMETHEUS_", "GUNICORN_"))}
            environment |= {"SHMETRICS_SEGMENT": str(nginx.segment), "PROMETHEUS_MULTIPROC_DIR": str(files)}
            flags = ["--workers", "2", "--bind", f"unix:{nginx.directory}/app.sock", "--umask", "0", "--no-control-socket"]
            command = [PYTHON, "-m", "gunicorn", *flags, "--pythonpath", EXAMPLE.parent, "app:app"]
            with open(nginx.directory / "gunicorn.log", "w+") as log, subprocess.Popen(command, env=environment, stdout=log, stderr=log) as gunicorn:
                try:
                    self.orders(nginx, nginx_socket, environment, gunicorn)
                except AssertionError:
                    print((nginx.directory / "gunicorn.log").read_text())
                    raise
                finally:
                    gunicorn.terminate()

    def orders(self, nginx, front, environment, gunicorn):
        def workers():
            listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(gunicorn.pid)], capture_output=True, text=True, check=False)
            return {int(pid) for pid in listed.stdout.split()}

        def order():
            page_socket, nginx.socket = nginx.socket, front
            try:
                return nginx.get("/api/orders?kind=book", host="shop.example")
            finally:
                nginx.socket = page_socket

        # Of nginx' answers, only gunicorn's are 200.
        self.assertTrue(eventually(lambda: order().status == 200))
        for _ in range(9):
            self.assertEqual(order().status, 200)
        before = workers()
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        self.assertTrue(eventually(lambda: len(workers() - before) == 2))
        self.assertTrue(eventually(lambda: order().status == 200))
        for _ in range(2):
            subprocess.run([PYTHON, EXAMPLE.parent / "cleanup.py"], env=environment, check=True)
        nginx.wait_for(11, "nginx_http_requests_total", location="api", status="200")
        page = nginx.page()
        valid(self, page)
        found = samples(page)
        self.assertEqual(total(found, "nginx_http_upstream_requests_total", upstream="app", status="200"), 11)
        # A killed worker has answered all of its orders.
        self.assertEqual(total(found, "shop_checkouts_total", payment="card"), 11)
        self.assertEqual(total(found, "shop_checkout_amount_euros_sum"), 11 * 42)
        self.assertEqual(total(found, "shop_checkouts_in_progress"), 0)
        self.assertEqual(total(found, "shop_cleanup_deleted_carts_total"), 6)
        self.assertGreater(total(found, "shop_cleanup_last_success_timestamp_seconds"), 1e9)
        # The kinds of orders that nginx itself counts, those without an answer of gunicorn too.
        self.assertGreaterEqual(total(found, "shop_orders_total", kind="book"), 11)
