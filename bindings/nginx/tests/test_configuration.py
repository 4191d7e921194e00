"""Configurations, wrong ones among them, and segments that cannot be used."""

import os
import subprocess
import unittest

from harness import APP, EXAMPLE, ROOT, SERVER, Nginx, eventually, total


class Configuration(unittest.TestCase):
    def test_a_test_makes_nothing(self):
        with Nginx(SERVER) as nginx:
            before = set(os.listdir("/dev/shm"))
            self.assertEqual(nginx.test()[0], True, nginx.test()[1])
            self.assertEqual(list(nginx.shm.iterdir()), [])
            self.assertEqual({name for name in set(os.listdir("/dev/shm")) - before if name.startswith("shmetrics-zone")}, set())

    def test_errors_name_the_line_and_the_reason(self):
        here = "main"
        cases = [  # main context, http context, context of the fault, what is said
            ("shmetrics_zone x size=big;", "", here, 'invalid parameter "size=big"'),
            ("shmetrics_zone x mode=999;", "", here, 'invalid parameter "mode=999"'),
            ("shmetrics_zone x mode;", "", here, 'invalid parameter "mode"'),
            ("shmetrics_zone x owner=nobody-there;", "", here, '"nobody-there": there is no such user'),
            ("shmetrics_zone x group=nobody-there;", "", here, '"nobody-there": there is no such group'),
            ("shmetrics_zone x trust=root,nobody-there;", "", here, '"nobody-there": there is no such user'),
            ("shmetrics_zone a*b;", "", here, '"a*b"'),
            ("shmetrics_zone x le=1;", "", here, 'label name "le"'),
            ("shmetrics_zone x a=1 a=2;", "", here, "it is given twice"),
            ("shmetrics_zone x size=1k;", "", here, "a maximum size of 1024 bytes"),
            ("shmetrics_zone x;shmetrics_zone y;", "", here, "the zone is defined in"),
            ("", "shmetrics on;", "http", 'there is no "shmetrics_zone" directive'),
            ("", "shmetrics_counter a;", "http", 'there is no "shmetrics_zone" directive'),
            ("Z", "shmetrics maybe;", "http", "it must be"),
            ("Z", "shmetrics_families requests speed;", "http", 'unknown families "speed"'),
            ("Z", "shmetrics_status both;", "http", 'invalid value "both"'),
            ("Z", "shmetrics_buckets 2 1;", "http", 'invalid bound "1": bounds must rise'),
            ("Z", "shmetrics_buckets 1 fast;", "http", 'invalid bound "fast"'),
            ("Z", "shmetrics_buckets native=0.5;", "http", 'invalid parameter "native=0.5"'),
            ("Z", "shmetrics_counter;", "http", "invalid number of arguments"),
            ("Z", "shmetrics_counter a value=$nothing;", "http", 'unknown "nothing" variable'),
            ("Z", "shmetrics_counter a value=-1;", "http", 'invalid parameter "value=-1"'),
            ("Z", "shmetrics_counter a label;", "http", 'invalid parameter "label"'),
            ("Z", 'shmetrics_counter a help="some words";', "http", "quotes belong around the whole"),
            ("Z", "shmetrics_counter a x=1 x=2;", "http", 'the metric "a" has the parameter "x" twice'),
            ("Z", "shmetrics_counter a help=1 help=2;", "http", 'the metric "a" has the parameter "help" twice'),
            ("Z", "shmetrics_histogram a value=1 native native=2;", "http", 'the metric "a" has the parameter "native" twice'),
            ("Z", "shmetrics_counter a buckets=1;", "http", 'invalid parameter "buckets=1"'),
            ("Z", "shmetrics_gauge a value=1 native=2;", "http", 'invalid parameter "native=2"'),
            ("Z", "shmetrics_counter a value=1e999;", "http", 'invalid parameter "value=1e999"'),
            ("Z", "server { shmetrics_location $uri; }", "http", "takes a name without variables"),
            ("Z", "server { shmetrics_server ${host}; }", "http", "takes a name without variables"),
            ("Z", "shmetrics_histogram a;", "http", 'needs a parameter "value="'),
            ("Z", "shmetrics_histogram a value=1 le=2;", "http", '"a"'),
            ("Z", "shmetrics_histogram a value=1 buckets=1,1;", "http", "bounds must rise"),
            ("Z", "shmetrics_histogram a value=1 natively;", "http", 'invalid parameter "natively"'),
            ("Z", "shmetrics_counter a " + " ".join(f"l{i}=1" for i in range(33)) + ";", "http", 'the metric "a" has too many labels'),
            ("Z", "shmetrics_counter a x=1; shmetrics_gauge a value=1;", "http", 'the metric "a" has another type'),
            ("Z", "shmetrics_counter a; shmetrics_counter a_total;", "http", '"a_total": there is another metric of this name'),
            ("Z", "shmetrics_histogram a value=1; shmetrics_gauge a_count value=1;", "http", '"a_count"'),
            ("Z", "shmetrics on; shmetrics_counter nginx_http_requests;", "http", "there is another metric of this name"),
            ("Z", "shmetrics_counter shmetrics_x;", "http", None),
            ("shmetrics_zone x kind=1;", "shmetrics_counter a kind=2;", here, 'the label "kind" of the zone'),
        ]
        with Nginx() as nginx:
            for main, http, context, said in cases:
                with self.subTest(main=main, http=http):
                    main = f"shmetrics_zone {nginx.segment};" if main == "Z" else main.replace("zone x", f"zone {nginx.segment}")
                    nginx.configure("\n" + http + "server { listen @SOCKET@; }", main)
                    if said is None:
                        nginx.test()
                        continue
                    marker = http if context == "http" else main.split(";")[0]
                    # nginx itself finds wrong variables, and names no line.
                    nginx.refused(self, said, None if "variable" in said else marker)
                    self.assertEqual(list(nginx.shm.iterdir()), [])

    def test_a_refused_reload_changes_nothing(self):
        with Nginx(SERVER) as nginx:
            nginx.start()
            nginx.get()
            nginx.configure("shmetrics_histogram a value=1 le=2; " + SERVER)
            os.kill(nginx.master_pid(), 1)
            self.assertTrue(eventually(lambda: "[emerg]" in nginx.errors()))
            nginx.kill_worker()
            nginx.get()
            nginx.wait_for(2, "nginx_http_requests_total")

    def test_the_example_of_the_manual(self):
        self.assertIn(EXAMPLE.read_text().strip(), (ROOT / "docs/nginx.md").read_text())
        with Nginx() as nginx:
            nginx.configure_example("server { listen unix:@DIR@/app.sock; shmetrics off; return 200; }")
            self.assertEqual(nginx.test()[0], True, nginx.test()[1])
            nginx.start()
            for path in ("/", "/api/orders?kind=book", "/static/none"):
                nginx.get(path, host="shop.example")
            nginx.socket = nginx.directory / "metrics.sock"
            nginx.wait_for(3, "nginx_http_requests_total", server="shop.example")
            found = nginx.samples()
            self.assertEqual(total(found, "shop_orders_total", kind="book"), 1)
            self.assertEqual(total(found, "nginx_http_upstream_requests_total", upstream="app", status="200"), 2)


class Faults(unittest.TestCase):
    def faulty(self, nginx, status=503):
        nginx.start()
        for _ in range(50):
            self.assertEqual(nginx.get().status, 200)
        for _ in range(2):
            nginx.reload()
        answer = nginx.get("/metrics")
        self.assertEqual(answer.status, status)
        self.assertEqual(len(nginx.told()), 1, nginx.errors())
        return answer.body.decode()

    def mended(self, nginx):
        nginx.reload()
        nginx.get()
        nginx.wait_for(1, "nginx_http_requests_total")

    def test_a_foreign_file(self):
        with Nginx(SERVER) as nginx:
            nginx.segment.write_bytes(b"something else" * 1000)
            self.assertIn("nothing is counted", self.faulty(nginx))
            self.assertTrue(nginx.segment.read_bytes().startswith(b"something else"))
            nginx.segment.unlink()
            self.mended(nginx)

    def test_a_segment_of_another_user(self):
        if os.geteuid() != 0:
            print("skipped: a segment of another user (only root can make one)")
            return
        with Nginx(SERVER) as nginx:
            subprocess.run([APP, nginx.segment, "1"], check=True)
            os.chown(nginx.segment, 12345, 12345)
            self.assertIn("12345", self.faulty(nginx))
            nginx.zone = "trust=12345"
            nginx.configure(SERVER)
            self.mended(nginx)

    def test_an_unreadable_directory(self):
        with Nginx(SERVER) as nginx:
            nginx.segment = nginx.shm / "missing" / "zone"
            nginx.configure(SERVER)
            self.faulty(nginx)
            nginx.segment.parent.mkdir()
            self.mended(nginx)

    def test_a_full_segment(self):
        http = "shmetrics_max_series 0; shmetrics_counter filler max_series=0 a=$arg_a; " + SERVER
        with Nginx(http, zone="size=640k") as nginx:
            nginx.start()
            if nginx.told():
                self.skipTest(f"skipped: a full segment (the size is too small: {nginx.told()})")
            for i in range(100):
                nginx.send(b"".join(b"GET /?a=%d%s HTTP/1.1\r\nHost: shop\r\n\r\n" % (i * 100 + k, b"x" * 100) for k in range(100))
                           + b"GET / HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n")
            nginx.wait_for(10100, "nginx_http_requests_total", location="root")
            self.assertEqual(total(nginx.samples(), "filler_total", shmetrics_overflow="true") > 0, True)
            self.assertEqual(total(nginx.samples(), "filler_total") >= 10100, True)
            self.assertLessEqual(len(nginx.told()), 1)
            nginx.reload()
            self.assertEqual(nginx.get().status, 200)

    def test_a_removed_file(self):
        with Nginx(SERVER) as nginx:
            nginx.start()
            nginx.get()
            nginx.wait_for(1, "nginx_http_requests_total")
            nginx.segment.unlink()
            self.assertEqual(nginx.get().status, 200)
            nginx.wait_for(2, "nginx_http_requests_total")
            self.mended(nginx)

    def test_one_process(self):
        with Nginx(SERVER, master="off") as nginx:
            nginx.start()
            nginx.get()
            nginx.wait_for(1, "nginx_http_requests_total")
            nginx.wait_for_gauge(0, "nginx_http_requests_in_progress")
