"""Reloads, upgrades, killed workers, and applications beside nginx."""

import os
import re
import subprocess
import unittest

from harness import APP, SERVER, Nginx, as_www_data, total


class Lifetime(unittest.TestCase):
    def test_a_reload_may_change_labels_and_buckets(self):
        before = "shmetrics_counter orders a=1; shmetrics_histogram sizes value=1 buckets=1,2; shmetrics_buckets 1 2; " + SERVER
        after = "shmetrics_counter orders a=1 b=2; shmetrics_histogram sizes value=1 buckets=1,2,3; shmetrics_buckets 1 2 3; " + SERVER
        with Nginx(before) as nginx:
            nginx.start()
            nginx.get()
            nginx.wait_for(1, "nginx_http_requests_total")
            for config, bounds in ((after, 4), (before, 3), (after, 4)):
                nginx.configure(config)
                base = total(nginx.samples(), "nginx_http_requests_total")
                nginx.reload()
                first = total(nginx.samples(), "orders_total")
                for _ in range(5):
                    nginx.get()
                nginx.wait_for(base + 5, "nginx_http_requests_total")
                found = nginx.samples()
                labels = [dict(labels) for name, labels in found if name == "orders_total"]
                self.assertEqual([set(one) for one in labels], [{"a", "b"} if config is after else {"a"}])
                self.assertGreaterEqual(total(found, "orders_total"), first + 5)
                for name in ("sizes", "nginx_http_request_duration_seconds"):
                    self.assertEqual(len([1 for sample, _ in found if sample == name + "_bucket"]), bounds)
            self.assertEqual(nginx.told(), [])

    def test_a_reload_may_change_a_bundle(self):
        """A metric more, one less, another order: nothing that was counted falls."""
        def config(*metrics):
            return SERVER.replace("return 200 ok;", "".join(f"shmetrics_{metric} k=1;" for metric in metrics) + "return 200 ok;")

        one, two, three = "counter one", "counter two", "histogram three value=1 buckets=1"
        with Nginx(config(one, two)) as nginx:
            nginx.start()
            nginx.get()
            nginx.wait_for(1, "two_total")
            sent, counted = 1, {one: 1, two: 1}
            for metrics in ((one, two, three), (two, three), (two,), (three, two), (three + ",2", one, two), (one, two)):
                nginx.configure(config(*metrics))
                nginx.reload()
                for _ in range(3):
                    nginx.get()
                sent += 3
                nginx.wait_for(sent, "nginx_http_requests_total", location="root")
                for metric in metrics:
                    counted[metric] = counted.get(metric, 0) + 3
                    name = metric.split()[1]
                    nginx.wait_for(counted[metric], name + ("_count" if name == "three" else "_total"), k="1")
            self.assertEqual(nginx.told(), [])

    def test_other_buckets_leave_the_default_counters_alone(self):
        app = "server { listen unix:@DIR@/app.sock; shmetrics off; return 200; } "
        front = SERVER.replace("return 200 ok;", "proxy_pass http://unix:@DIR@/app.sock;")
        with Nginx(app + front) as nginx:
            nginx.start()
            for i, buckets in enumerate(("1", "1 2", "native")):
                nginx.configure(f"shmetrics_buckets {buckets}; " + app + front)
                before = nginx.samples()
                nginx.reload()
                nginx.get()
                nginx.wait_for(i + 1, "nginx_http_requests_total", location="root")
                found = nginx.samples()
                for name in ("nginx_http_sent_bytes", "nginx_http_received_bytes", "nginx_http_upstream_sent_bytes", "nginx_http_upstream_received_bytes"):
                    self.assertGreater(total(found, name + "_total"), total(before, name + "_total"), name)
                self.assertEqual(total(found, "nginx_http_upstream_response_duration_seconds_count"), 1)

    def test_names_that_clash_with_those_of_before(self):
        with Nginx(SERVER) as nginx:
            nginx.start()
            kinds = ("shmetrics_histogram m value=1", "shmetrics_counter m_count a=1; shmetrics_gauge m value=1", "shmetrics_gauge m value=2 x=y",
                     "shmetrics_histogram m value=1", "shmetrics_histogram m value=1", "shmetrics_counter m_count a=1")
            for i, metric in enumerate(kinds):
                nginx.configure(f"{metric}; " + SERVER)
                nginx.reload()
                nginx.get()
                nginx.wait_for(i + 1, "nginx_http_requests_total", location="root")
            self.assertEqual(total(nginx.samples(), "m_count_total", a="1") > 0, True)
            self.assertEqual(nginx.told(), [])
            self.assertNotIn("[emerg]", nginx.errors())

    def test_a_reload_may_take_the_module_away(self):
        with Nginx(SERVER) as nginx:
            nginx.start()
            counted = 0
            with_module = nginx.config.read_text()
            without = re.sub(r"load_module [^;]*;|\bshmetrics(_[a-z]+)? [^;{]*;|shmetrics_page;", "", with_module)
            for _ in range(2):
                nginx.config.write_text(without)
                nginx.reload()
                self.assertEqual((nginx.get().status, nginx.get("/metrics").status), (200, 404))
                nginx.config.write_text(with_module)
                nginx.reload()
                nginx.get()
                counted += 1
                nginx.wait_for(counted, "nginx_http_requests_total", location="root")
            self.assertEqual(nginx.told(), [])
            self.assertNotIn("exited on signal", nginx.errors())

    def test_requests_that_a_shutdown_ends(self):
        slow = "server { listen unix:@DIR@/app.sock; shmetrics off; location / { limit_rate 10; return 200 " + "x" * 1000 + "; } } "
        http = slow + SERVER.replace("return 200 ok;", "proxy_buffering off; proxy_pass http://unix:@DIR@/app.sock;")
        with Nginx() as nginx:
            nginx.configure(http, f"worker_shutdown_timeout 1s; shmetrics_zone {nginx.segment};")
            nginx.start()
            with nginx.connect() as client:
                client.sendall(b"GET / HTTP/1.1\r\nHost: shop\r\n\r\n")
                client.recv(10)
                nginx.wait_for_gauge(1, "nginx_http_requests_in_progress")
                nginx.reload()
                nginx.wait_for(1, "nginx_http_requests_total", status="200", location="root")
                nginx.wait_for_gauge(0, "nginx_http_requests_in_progress")

    def test_an_application_beside_it(self):
        for first in ("nginx", "application"):
            with self.subTest(first=first), Nginx(SERVER, zone="group=www-data" if os.geteuid() == 0 else "mode=0600") as nginx:
                if first == "application":
                    done = as_www_data([APP, nginx.segment, "2"])
                    self.assertEqual((done.returncode, done.stderr), (0, ""))
                elif os.geteuid() == 0:
                    nginx.zone = "owner=www-data"
                    nginx.configure(SERVER)
                nginx.start()
                nginx.get()
                done = as_www_data([APP, nginx.segment, "3"])
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                nginx.wait_for(1, "nginx_http_requests_total")
                self.assertEqual(total(nginx.samples(), "app_jobs_total"), 5 if first == "application" else 3)
                nginx.reload()
                nginx.get()
                nginx.wait_for(2, "nginx_http_requests_total")

    def test_zone_parameters(self):
        with Nginx(SERVER, zone="size=4m mode=0644 machine=m1 rack=r2") as nginx:
            nginx.start()
            nginx.get()
            nginx.wait_for(1, "nginx_http_requests_total", machine="m1", rack="r2")
            self.assertEqual(nginx.segment.stat().st_mode & 0o777, 0o644)
            if os.geteuid() == 0:
                user = subprocess.run(["ps", "-o", "user=", "-p", str(nginx.workers()[0])], capture_output=True, text=True, check=False)
                self.assertEqual(user.stdout.strip(), "www-data")
            # Other labels cannot be given to series that exist.
            nginx.zone = "size=4m machine=m2"
            nginx.configure(SERVER)
            nginx.reload()
            nginx.get()
            nginx.wait_for(2, "nginx_http_requests_total", machine="m1")
            self.assertEqual(len(nginx.told()), 1)
