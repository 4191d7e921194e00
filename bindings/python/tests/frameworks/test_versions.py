"""The same forty requests have the same labels, in all versions of all frameworks. Each version
runs in a process of its own.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
from support import SDISTS, clean_environment, run

HERE = Path(__file__).parent
INSTALLED = SDISTS.parent / "versions"
ADDITIONAL = [line.split()[0] for line in (HERE / "versions.txt").read_text().splitlines() if not line.startswith("#")]
WAYS = {"starlette": ["starlette", "fastapi", "fastapi root"], "django": ["wsgi", "asgi"]}

sys.path.insert(0, str(HERE))
import forty  # noqa: E402


def cases() -> list:
    names = ADDITIONAL + ["flask-newest", "starlette-newest", "aiohttp-newest", "django-newest"]
    return [
        pytest.param(name, way, id=f"{name} {way}".strip())
        for name in sorted(names)
        for way in WAYS.get(name.partition("-")[0], [""])
        # it does not find its own routes below a root path
        if (name, way) != ("starlette-0.27", "fastapi root")
    ]


def neutral(template: str) -> str:
    """`<int:id>` and `{id:int}` are `{id}`."""
    return re.sub(r"<(?:\w+:)?(\w+)>|\{(\w+):\w+\}", lambda m: "{%s}" % (m[1] or m[2]), template)


@pytest.mark.parametrize("name, way", cases())
def test_labels(name, way, shm):
    framework, _, version = name.partition("-")
    directory = INSTALLED / name
    if version != "newest" and not directory.is_dir():
        pytest.skip(f"{name} is not installed; is there a network?")
    environment = clean_environment(shm, PYTHONPATH="" if version == "newest" else str(directory))
    arguments = ["newest" if version == "newest" else str(directory), *way.split()]
    done = run([sys.executable, HERE / f"app_{framework}.py", *arguments], environment, HERE)
    assert done.returncode == 0, done.stderr
    wrong = []
    for (method, path, template, status), found in zip(forty.REQUESTS, json.loads(done.stdout)):
        counted = [(m, neutral(endpoint), s) for m, endpoint, s in found["counted"]]
        method = method if method not in ("MKCOL", "PROPFIND") else "other"
        if template is None:
            right = counted == []
        else:
            right = len(counted) == 1 and counted[0][:2] == (method, template) and counted[0][2] == str(status or counted[0][2])
        if not right or found["in_progress"] not in (0, None):
            wrong.append((method, path, template, status, found))
    assert wrong == []


def test_what_is_the_same():
    assert neutral("/a/<int:id>/{x:path}/<y>/{z}") == "/a/{id}/{x}/{y}/{z}"
    assert len({(method, path) for method, path, *_ in forty.REQUESTS}) == len(forty.REQUESTS) == 40
