#!/usr/bin/env python3
"""Fails if the container file, the pod, the RPM spec or the workflows do not say what they must: manifests.py."""

import pathlib
import re
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parents[2]
VERSION = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]


def load(path):
    import yaml

    return yaml.safe_load((ROOT / path).read_text())


def container_file():
    lines = [line for line in (ROOT / "packaging/container/Containerfile").read_text().splitlines() if line and line[0] != "#"]
    said = dict(line.split(" ", 1) for line in lines)
    assert said["FROM"] == "scratch", said
    user, _, group = said["USER"].partition(":")
    assert int(user) > 0 and int(group) > 0, "the image does not run as root"
    assert said["ENTRYPOINT"] == '["/shmetrics"]', said


def pod(manifest):
    """What the pod promises: two users, one group, memory, nothing else to write to."""
    spec = manifest["spec"]
    group = spec["securityContext"]["fsGroup"]
    assert spec["securityContext"]["runAsNonRoot"] and spec["automountServiceAccountToken"] is False
    assert not {"hostPID", "hostIPC", "hostNetwork"} & set(spec)
    (volume,) = spec["volumes"]
    assert volume["emptyDir"]["medium"] == "Memory" and volume["emptyDir"]["sizeLimit"]
    app, exporter = spec["containers"]
    for container in (app, exporter):
        security = container["securityContext"]
        assert security["runAsUser"] > 0 and security["readOnlyRootFilesystem"], container["name"]
        assert security["allowPrivilegeEscalation"] is False and security["capabilities"]["drop"] == ["ALL"], container["name"]
        assert [mount["name"] for mount in container["volumeMounts"]] == [volume["name"]], container["name"]
    assert app["securityContext"]["runAsUser"] != exporter["securityContext"]["runAsUser"]
    written, read = app["volumeMounts"][0], exporter["volumeMounts"][0]
    assert written["mountPath"] == read["mountPath"] and read["readOnly"]
    environment = {entry["name"]: entry["value"] for entry in app["env"]}
    assert environment["SHMETRICS_DIR"] == written["mountPath"], environment
    assert environment["SHMETRICS_MODE"] == "0640" and environment["SHMETRICS_GROUP"] == str(group), environment
    owner = exporter["args"][exporter["args"].index("--owner") + 1]
    assert owner == str(app["securityContext"]["runAsUser"]), "the exporter reads the application's segments"
    assert exporter["image"].endswith(f":{VERSION}"), f"the exporter's image is not of version {VERSION}"


def spec(text):
    """A scriptlet that is a program has no body: rpm would give it to the program as a file."""
    lines = [line for line in text.splitlines() if line.strip()]
    for line, following in zip(lines, lines[1:]):
        assert not re.match(r"%\w+ .*-p ", line) or following.startswith("%"), f"{line} has the body {following}"
    packages = text.count("%files")
    assert packages == text.count("%license LICENSE-MIT LICENSE-APACHE"), "each package has the licences"


def workflow(path, verbs):
    """Runs verbs of the Makefile and what installs their tools, so that it can be run elsewhere too."""
    told = load(path)
    jobs = told["jobs"]
    assert told["permissions"] == {"contents": "read"} and not any("permissions" in job for job in jobs.values()), path
    used = [step["uses"] for job in jobs.values() for step in job["steps"] if "uses" in step]
    assert used and all(re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", action) for action in used), f"{path}: an action is not a commit"
    ran = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    made = re.findall(r"\bmake ([a-z]+)", "\n".join(ran))
    assert made == verbs, f"{path} runs {made}, not {verbs}"
    known = re.findall(r"^([a-z]+):.*##", (ROOT / "Makefile").read_text(), re.M)
    assert set(made) <= set(known), f"{path}: the Makefile has no verb {set(made) - set(known)}"


def main():
    container_file()
    spec((ROOT / "packaging/shmetrics.spec").read_text())
    try:
        import yaml  # noqa: F401
    except ImportError:
        print("skipped: manifests in YAML (no PyYAML)")
        return
    pod(load("packaging/container/pod.yaml"))
    workflow(".github/workflows/test.yml", ["test"])
    workflow(".github/workflows/release.yml", ["release"])
    print("the container file, the pod, the RPM spec and two workflows say what they must")


if __name__ == "__main__":
    sys.exit(main())
