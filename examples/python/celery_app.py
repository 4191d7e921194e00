"""A Celery worker that counts its tasks with prometheus_client: no line of it knows of shmetrics. The broker is a directory.

    shmetrics-run celery -A celery_app worker --pool prefork --concurrency 4
"""

import os
import tempfile

from celery import Celery
from prometheus_client import Counter, Gauge

TASKS = Counter("tasks_total", "Tasks done.", ["name"])
RUNNING = Gauge("tasks_running", "Tasks being done now.", multiprocess_mode="livesum")

queue = os.environ.get("QUEUE_DIRECTORY") or tempfile.mkdtemp()
app = Celery("celery_app", broker="filesystem://")
app.conf.broker_transport_options = {"data_folder_in": queue, "data_folder_out": queue, "control_folder": queue + "/control"}


@app.task
def work(name):
    with RUNNING.track_inprogress():
        TASKS.labels(name).inc()
