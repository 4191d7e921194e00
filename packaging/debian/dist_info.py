#!/usr/bin/env python3
"""Writes what pip and importlib.metadata know of the package: dist_info.py PYPROJECT VERSION FOLDER.

The command `shmetrics` is another package's, so only `shmetrics-run` becomes a program.
"""

import pathlib
import sys
import tomllib

manifest, version, site = sys.argv[1:]
project = tomllib.loads(pathlib.Path(manifest).read_text())["project"]
folder = pathlib.Path(site, f"{project['name']}-{version}.dist-info")
folder.mkdir()
(folder / "METADATA").write_text(
    f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {version}\nSummary: {project['description']}\n"
    f"License: {project['license']}\nRequires-Python: {project['requires-python']}\n"
)
(folder / "INSTALLER").write_text("debian\n")
groups = {"console_scripts": {"shmetrics-run": project["scripts"]["shmetrics-run"]}, **project["entry-points"]}
lines = []
for group, entries in groups.items():
    lines += [f"[{group}]", *(f"{name} = {target}" for name, target in entries.items()), ""]
(folder / "entry_points.txt").write_text("\n".join(lines))

module, _, function = project["scripts"]["shmetrics-run"].partition(":")
program = pathlib.Path(site).parents[2] / "bin" / "shmetrics-run"
program.parent.mkdir(parents=True, exist_ok=True)
program.write_text(f"#!/usr/bin/python3\nimport sys\n\nfrom {module} import {function}\n\nsys.exit({function}())\n")
program.chmod(0o755)
