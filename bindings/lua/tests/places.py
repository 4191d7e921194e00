"""Where the Lua modules, nginx and its modules are, and an nginx with Lua for a test."""

import os
import pathlib
import shutil
import subprocess
import sys

sys.path.append(str(pathlib.Path(__file__).resolve().parents[2] / "nginx" / "tests"))

from harness import MODULE, NGINX, STREAM, STREAM_MODULE, Load, Nginx, eventually, samples, total  # noqa: E402, F401

PLACE = pathlib.Path(os.environ["LUA_PLACE"])
# The sources of nginx-lua-prometheus, to compare pages with.
PEER = os.environ.get("NGINX_LUA_PROMETHEUS")
LUAJIT = shutil.which("luajit")


def lua_modules():
    """The modules of nginx for Lua. Empty if one is missing."""
    if not NGINX:
        return []
    told = subprocess.run([NGINX, "-V"], capture_output=True, text=True, check=False).stderr
    folder = pathlib.Path(next((word.partition("=")[2] for word in told.split() if word.startswith("--modules-path=")), "/usr/lib/nginx/modules"))
    wanted = [folder / "ndk_http_module.so", folder / "ngx_http_lua_module.so"]
    return wanted if all(file.exists() for file in wanted) else []


LUA_MODULES = lua_modules()
HAS_LUA = bool(LUA_MODULES)

LISTEN = "server { listen @SOCKET@; server_name shop; location = /metrics { content_by_lua_block { prometheus:collect() } } "
# Counts after each answer.
COUNT = 'log_by_lua_block { requests:inc(1, {ngx.var.server_name, ngx.var.status}); latency:observe(tonumber(ngx.var.request_time), {ngx.var.server_name}) } '
SERVER = LISTEN + "location / { " + COUNT + 'content_by_lua_block { ngx.print("ok") } } '
REGISTER = """
    requests = prometheus:counter("nginx_http_requests_total", "Number of HTTP requests", {"host", "status"})
    latency = prometheus:histogram("nginx_http_request_duration_seconds", "HTTP request latency", {"host"})
"""


def lua(program, *arguments):
    """Runs a program in LuaJIT."""
    return subprocess.run([LUAJIT, *arguments, "-"], input=program, capture_output=True, text=True, check=False, cwd=PLACE)


class LuaNginx(Nginx):
    """`phase` registers, in `init_worker_by_lua_block` or `init_by_lua_block`. `servers` goes into
    http{}, and is left open. With a `dictionary`, nginx-lua-prometheus takes our place."""

    def __init__(self, servers=SERVER, register=REGISTER, phase="init_worker", options="", shmetrics="", dictionary="", workers=2, **others):
        self.phase = phase
        self.shmetrics = shmetrics
        self.options = options
        self.dictionary = dictionary
        self.number = workers
        super().__init__(servers, register, **others)

    def modules(self):
        return [*LUA_MODULES, *([MODULE] if self.shmetrics else []), *([STREAM, STREAM_MODULE] if self.stream else [])]

    def configure(self, servers=SERVER, register=REGISTER, complete=None):
        init = f'prometheus = require("prometheus").init("{self.dictionary or self.segment}", {{{self.options}}})'
        dictionary = f"lua_shared_dict {self.dictionary} 200m;" if self.dictionary else ""
        http = f"""
    lua_package_path "{PEER if self.dictionary else PLACE}/?.lua;;";
    {dictionary}
    {self.phase}_by_lua_block {{
        {init}
        {register}
    }}
    {servers}
    }}"""
        super().configure(http, "env LD_LIBRARY_PATH;\n" + self.shmetrics.replace("@SEGMENT@", str(self.segment)), complete)

    def logged(self):
        """The lines of errors that Lua or nginx told."""
        return [line for line in self.errors().splitlines() if "[error]" in line or "[alert]" in line or "[crit]" in line or "[emerg]" in line]
