"""Celery's prefork pool, whose children live for three tasks each; the page comes from a process
that knows only the name.
"""

from __future__ import annotations

import sys

import pytest
from support import BIN, EXAMPLES, clean_environment, multiprocess_environment, python, run, samples, started, total, wait_until

TASKS = 40

SEND = "import sys, celery_app\nfor i in range(int(sys.argv[1])): celery_app.work.delay(f'task {i % 4}')"
PAGE = """
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
registry = CollectorRegistry()
MultiProcessCollector(registry)
print(generate_latest(registry).decode())
"""


@pytest.mark.parametrize("by", ["run", "hook"])
def test_short_lived_children(by, shm, tmp_path):
    queue, files = tmp_path / "queue", tmp_path / "multiproc"
    (queue / "control").mkdir(parents=True)
    more = {"QUEUE_DIRECTORY": str(queue), "PYTHONPATH": str(EXAMPLES)}
    if by == "run":
        environment, first = clean_environment(shm, **more), [str(BIN / "shmetrics-run")]
    else:
        environment, first = multiprocess_environment(shm, files, **more), []
    arguments = ["-A", "celery_app", "worker", "--pool", "prefork", "--concurrency", "2", "--max-tasks-per-child", "3"]
    arguments += ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "warning"]
    command, log = [*first, str(BIN / "celery"), *arguments], tmp_path / "log"
    with started(command, environment | {"C_FORCE_ROOT": "1"}, log, tmp_path) as worker:
        sent = python(SEND, environment, str(TASKS), cwd=tmp_path)
        assert sent.returncode == 0, sent.stderr

        def page() -> dict:
            shown = run([*first, sys.executable, "-c", PAGE], environment, tmp_path)
            assert shown.returncode == 0, shown.stderr
            return samples(shown.stdout)

        def done() -> bool:
            assert worker.poll() is None, log.read_text()
            found = page()
            return total(found, "tasks_total") >= TASKS and total(found, "tasks_running") == 0

        wait_until(done, "all tasks are done")
        assert [total(page(), "tasks_total", name=f"task {i}") for i in range(4)] == [TASKS / 4] * 4
        assert [file for file in files.glob("*") if file.name != "gauge_max_shmetrics.db"] == []
        assert len(list(shm.iterdir())) == 1
