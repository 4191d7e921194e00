"""Django's own server: it starts the project anew when a file changes, and the counts go on."""

from __future__ import annotations

import sys
import time

from support import EXAMPLES, clean_environment, free_port, get, samples, started, total, wait_until


def answers_or_change(port, project, text) -> bool:
    """Whether the new project answers. If the old one does, the file changes once more.

    The server answers before its reloader has read the times of the files for the first time. A
    change before that is never seen.
    """
    if get(port, "/new")[0] == 200:
        return True
    project.write_text(text)
    time.sleep(2)  # the reloader looks every second
    return False


def test_runserver_reloads(shm, tmp_path):
    project, port = tmp_path / "project.py", free_port()
    text = (EXAMPLES / "django_one_line.py").read_text()
    project.write_text(text)
    command = [sys.executable, str(project), "runserver", "--skip-checks", f"127.0.0.1:{port}"]
    with started(command, clean_environment(shm), tmp_path / "log") as process:
        wait_until(lambda: process.poll() is not None or get(port, "/items/1")[0] == 200, "runserver does not start")
        assert process.poll() is None, (tmp_path / "log").read_text()
        before = total(samples(get(port, "/metrics")[1]), "http_requests_total", endpoint="/items/<int:item>")
        assert before == 1
        changed = text.replace('path("slow/', 'path("new", index), path("slow/')
        wait_until(lambda: answers_or_change(port, project, changed), "it does not start anew")
        page = samples(get(port, "/metrics")[1])
        assert total(page, "http_requests_total", endpoint="/items/<int:item>") == 1
        assert total(page, "http_requests_total", endpoint="/new") == 1
        assert total(page, "http_requests_in_progress") == 0
