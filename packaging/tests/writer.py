"""Two processes count until the packages are upgraded, and print what they have counted."""

import os

os.environ["SHMETRICS_SEGMENT"] = "upgraded"

from shmetrics import Counter  # noqa: E402

STEPS = Counter("steps", "Steps.")


def count() -> int:
    counted = 0
    while not os.path.exists("upgraded"):
        for _ in range(1000):
            STEPS.inc()
        counted += 1000
    return counted


read, write = os.pipe()
child = os.fork()
if child == 0:
    os.write(write, str(count()).encode())
    os._exit(0)
print("started", flush=True)
mine = count()
theirs = int(os.read(read, 64))
os.waitpid(child, 0)
print("counted", mine + theirs, flush=True)
