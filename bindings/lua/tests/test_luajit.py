"""The modules in LuaJIT, outside of nginx."""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

from places import LUAJIT, PLACE

# The same, of a bundle.
BUNDLE = """
local segment = require("shmetrics").open { name = arg[1] }
local bundle = segment:bundle { labels = {"host", "status"}, members = {
    { kind = "counter", name = "requests" }, { kind = "gauge", name = "level" }, { kind = "histogram", name = "seconds" } } }
local hosts, statuses = {"example.org", "example.com"}, {"200", "404"}
for i = 1, 100000 do bundle:update({hosts[i % 2 + 1], statuses[i % 2 + 1]}, 1, 2, 0.3) end
require("jit").off()
for piece in segment:page() do io.write(piece) end
"""
BUNDLED = (
    'requests_total{host="example.org",status="200"} 50000',
    'level{host="example.com",status="404"} 100000',
    'seconds_count{host="example.org",status="200"} 50000',
)

# A loop of updates, after which the page must have them all.
HOT = """
local p = require("prometheus").init(arg[1])
local hosts, statuses = {"example.org", "example.com"}, {"200", "404"}
local counter = p:counter("c", "Help.", {"host", "status"})
local gauge = p:gauge("g", "Help.", {"host", "status"})
local histogram = p:histogram("h", "Help.", {"host", "status"})
for i = 1, 100000 do UPDATE end
require("jit").off() -- no traces of what follows
for _, line in ipairs(p:metric_data()) do io.write(line) end
"""
UPDATES = {
    "counter:inc(1, {hosts[i % 2 + 1], statuses[i % 2 + 1]})": ('c{host="example.org",status="200"} 50000', 'c{host="example.com",status="404"} 50000'),
    "counter:inc(1, {hosts[i % 2 + 1], 404})": ('c{host="example.org",status="404"} 50000',),
    "gauge:inc(1, {hosts[i % 2 + 1], statuses[i % 2 + 1]})": ('g{host="example.org",status="200"} 50000',),
    "gauge:set(i, {hosts[i % 2 + 1], statuses[i % 2 + 1]})": ('g{host="example.org",status="200"} 100000',),
    "histogram:observe(0.3, {hosts[i % 2 + 1], statuses[i % 2 + 1]})": ('h_bucket{host="example.org",status="200",le="0.3"} 50000',),
}


class LuaJit(unittest.TestCase):
    def setUp(self):
        self.shm = pathlib.Path(tempfile.mkdtemp(prefix="shmetrics-lua-", dir="/dev/shm"))
        self.addCleanup(shutil.rmtree, self.shm, ignore_errors=True)
        # Names of segments in the tests lead there.
        self.environment = dict(os.environ, SHMETRICS_DIR=str(self.shm))

    def clean(self):
        for file in self.shm.glob("*segment*"):
            file.unlink()

    def run_file(self, file, *arguments):
        return subprocess.run([LUAJIT, *arguments, file, self.shm / "segment"], capture_output=True, text=True, errors="replace", check=False, cwd=PLACE, env=self.environment)

    def test_unit(self):
        names = re.findall(r"^function tests\.(\w+)", (PLACE / "unit.lua").read_text(), re.M)
        for mode in ("-jon", "-joff"):
            with self.subTest(mode=mode):
                done = self.run_file("unit.lua", mode)
                self.clean()
                self.assertEqual(done.stdout.splitlines(), [f"passed {name}" for name in names], done.stderr)

    def test_the_examples_of_the_guide(self):
        guide = (pathlib.Path(__file__).resolve().parents[3] / "docs/lua.md").read_text()
        examples = re.findall(r"^```lua\n(.*?)^```", guide, re.M | re.S)
        self.assertEqual(len(examples), 2)
        program = self.shm / "guide.lua"
        program.write_text("".join(examples) + "for piece in segment:page() do io.write(piece) end\n")
        done = self.run_file(program)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        for line in ('jobs_total{kind="mail"} 1', 'sent_bytes_total{host="example.org",status="200"} 5120'):
            self.assertIn(line, done.stdout.splitlines())
        self.clean()

    def traced(self, source, wanted):
        """Runs a hot loop. The page has these lines, and the loop became a trace."""
        program = self.shm / "hot.lua"
        program.write_text(source)
        traces = self.shm / "traces"
        done = self.run_file(program, f"-jv={traces}")
        self.assertEqual(done.returncode, 0, done.stderr)
        for line in wanted:
            self.assertIn(line, done.stdout.splitlines())
        told = traces.read_text()
        self.assertRegex(told, r"\[TRACE +\d+ hot\.lua:\d+ loop\]")
        self.assertNotIn("TRACE ---", told)
        self.clean()

    def test_no_update_stops_a_trace(self):
        for update, wanted in UPDATES.items():
            with self.subTest(update=update):
                self.traced(HOT.replace("UPDATE", update), wanted)

    def test_no_update_of_a_bundle_stops_a_trace(self):
        self.traced(BUNDLE, BUNDLED)


if __name__ == "__main__":
    unittest.main()
