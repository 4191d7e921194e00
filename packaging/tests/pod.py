#!/usr/bin/env python3
"""Runs packaging/container/pod.yaml with namespaces in place of a container engine: pod.py COMMAND APPLICATION.

COMMAND is the static command, which is alone in its root, as in the image. APPLICATION is a program that registers
`http_requests_total` in the segment that its argument names; its root is the host's. The users, groups, capabilities, mounts
and read-only roots are those of the manifest. Not tried: the build of the image, its transport, and seccomp profiles.
Needs root.
"""

import ctypes
import errno
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
POD = HERE.parent / "container/pod.yaml"
IMAGE = HERE.parent / "container/Containerfile"
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 24, 38


def run(*command):
    subprocess.run([str(part) for part in command], check=True)


def prctl(option, value):
    return ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def contain(spec):
    """Becomes the container: its root, its volume, its user. Runs in mount and process namespaces of its own."""
    root, at = pathlib.Path(spec["root"]), spec["at"]
    run("mount", "--make-rprivate", "/")
    # The volume alone can be written to.
    run("mount", "--bind", spec["from"], root)
    if spec["from"] == "/":
        run("mount", "-t", "tmpfs", "none", root / "run")
    (root / "proc").mkdir(exist_ok=True)
    (root / at[1:]).mkdir(parents=True, exist_ok=True)
    run("mount", "--bind", spec["volume"], root / at[1:])
    run("mount", "-t", "proc", "proc", root / "proc")
    run("mount", "-o", "remount,bind,ro", root)
    if spec["from"] == "/":
        run("mount", "-o", "remount,ro", root / "run")
    if spec["read_only"]:
        run("mount", "-o", "remount,bind,ro", root / at[1:])
    os.chdir(root)
    os.chroot(".")
    # Not even root could write here.
    paths = ["/written"]
    if spec["from"] == "/":
        paths.append("/run/written")
    if spec["read_only"]:
        paths.append(f"{at}/written")
    for path in paths:
        try:
            open(path, "w")
        except OSError as failure:
            if failure.errno == errno.EROFS:
                continue
        sys.exit(f"pod.py: {path} is not on a read-only file system")
    os.setgroups(spec["groups"])
    for capability in range(64):
        prctl(PR_CAPBSET_DROP, capability)
    os.setresgid(*[spec["group"]] * 3)
    os.setresuid(*[spec["user"]] * 3)
    assert prctl(PR_SET_NO_NEW_PRIVS, 1) == 0
    os.execve(spec["command"][0], spec["command"], spec["environment"])


def start(pod, container, work, source, command, environment):
    root = work / container["name"]
    root.mkdir(exist_ok=True)
    security, mount = container["securityContext"], container["volumeMounts"][0]
    spec = {
        "root": str(root),
        "from": str(source),
        "volume": str(work / "volume"),
        "at": mount["mountPath"],
        "read_only": mount.get("readOnly", False),
        "user": security["runAsUser"],
        "group": security["runAsGroup"],
        "groups": [pod["securityContext"]["fsGroup"]],
        "command": command,
        "environment": environment | {entry["name"]: entry["value"] for entry in container.get("env", [])},
    }
    return subprocess.Popen(["unshare", "--mount", "--pid", "--fork", "--kill-child", sys.executable, __file__, "contain", json.dumps(spec)])


def get(path):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:9464{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as answer:
        return answer.code, ""
    except OSError:
        return 0, ""


def wait_for(what, exporter, done):
    deadline = time.monotonic() + 60
    while not (result := done()):
        if exporter.poll() is not None or time.monotonic() > deadline:
            sys.exit(f"pod.py: waited in vain for {what}")
        time.sleep(0.1)
    return result


def counted():
    status, page = get("/metrics")
    return status == 200 and "http_requests_total{" in page and page


def exporter_process():
    texts = {int(path.parent.name): path.read_text() for path in pathlib.Path("/proc").glob("[0-9]*/status")}
    (found,) = ((pid, text) for pid, text in texts.items() if text.startswith("Name:\tshmetrics\n"))
    return found


def values(page):
    return sorted(line for line in page.splitlines() if line.startswith("http_requests_total{"))


def inside(command, application, work):
    """The pod, in network, IPC, mount and process namespaces of its own."""
    import yaml

    run("mount", "--make-rprivate", "/")
    run("mount", "-t", "proc", "proc", "/proc")
    run("ip", "link", "set", "lo", "up")
    pod = yaml.safe_load(POD.read_text())["spec"]
    app, exporter = pod["containers"]
    group = pod["securityContext"]["fsGroup"]
    (work / "volume").mkdir()
    size = pod["volumes"][0]["emptyDir"]["sizeLimit"].removesuffix("i")
    # The kubelet makes a directory in memory with a group in this way.
    run("mount", "-t", "tmpfs", "-o", f"size={size},mode=2777,gid={group}", "none", work / "volume")

    (work / "image").mkdir()
    shutil.copy(command, work / "image/shmetrics")
    environment = dict(line.split(" ", 1)[1].split("=", 1) for line in IMAGE.read_text().splitlines() if line.startswith("ENV "))
    serve = start(pod, exporter, work, work / "image", ["/shmetrics", *exporter["args"]], environment)
    wait_for("the exporter", serve, lambda: get("/-/healthy")[0] == 200)
    assert get("/-/ready")[0] == 503, "there is no segment yet"

    assert start(pod, app, work, "/", [application, app["name"]], {"PATH": "/usr/bin:/bin"}).wait() == 0, "the application failed"
    page = wait_for("the page", serve, counted)
    (segment,) = (path for path in (work / "volume").iterdir() if path.name.startswith("shmetrics-"))
    file = segment.stat()
    assert (file.st_uid, file.st_gid, file.st_mode & 0o777) == (app["securityContext"]["runAsUser"], group, 0o640), file

    pid, mine = exporter_process()
    fields = dict(line.split(":\t", 1) for line in mine.splitlines() if ":\t" in line)
    user = str(exporter["securityContext"]["runAsUser"])
    assert fields["Uid"].split() == [user] * 4 and fields["Groups"].split() == [str(group)], fields
    assert int(fields["CapEff"], 16) == int(fields["CapBnd"], 16) == 0 and fields["NoNewPrivs"] == "1", fields
    # As the kernel kills a container that has too much memory, and the kubelet starts it again.
    os.kill(pid, signal.SIGKILL)
    serve.wait()
    serve = start(pod, exporter, work, work / "image", ["/shmetrics", *exporter["args"]], environment)
    again = wait_for("the page of the exporter that was started again", serve, counted)
    assert values(again) == values(page), again
    # The application too: its processes have the numbers of those that are gone.
    assert start(pod, app, work, "/", [application, app["name"]], {"PATH": "/usr/bin:/bin"}).wait() == 0, "the application failed"
    assert values(get("/metrics")[1]) == [line.replace(" 2000", " 4000") for line in values(page)], "a count is lost"
    print(f"ok: the pod's exporter shows what the application counted, in {len(page.splitlines())} lines, also after both were started again")


def main():
    if sys.argv[1:2] == ["contain"]:
        contain(json.loads(sys.argv[2]))
    if sys.argv[1:2] == ["inside"]:
        return inside(sys.argv[2], sys.argv[3], pathlib.Path(sys.argv[4]))
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    programs = [str(pathlib.Path(program).resolve()) for program in sys.argv[1:]]
    with tempfile.TemporaryDirectory() as work:
        os.chmod(work, 0o755)
        spaces = ["unshare", "--net", "--ipc", "--mount", "--pid", "--fork", "--kill-child"]
        return subprocess.run([*spaces, sys.executable, __file__, "inside", *programs, work]).returncode


if __name__ == "__main__":
    sys.exit(main())
