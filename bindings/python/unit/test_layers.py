"""The modules of the package import downwards, and never in a circle. scripts/layers.py holds the
same for the Rust half.
"""

from __future__ import annotations

import ast
import pathlib

import shmetrics

PACKAGE = pathlib.Path(shmetrics.__file__).parent
#: From top to bottom. A folder stands for what is in it; modules of one layer may import each
#: other, but not in a circle.
LAYERS = """
__main__ | run _command | _dropin
flask django | asgi wsgi aiohttp | _http
__init__ exposition multiprocess metrics openmetrics core twisted bridge parser context_managers | utils _gateway
process | gc_collector platform_collector process_collector | _page | _encode | registry | metrics_core samples
validation | _segment _counted _decorate _created _functions _buckets | _directory _names _prometheus_client | _native
"""
RANK = {name: rank for rank, layer in enumerate(LAYERS.replace("\n", "|").split("|")) for name in layer.split()}


def modules() -> "dict[str, pathlib.Path]":
    """Each module by its path in the package: `_dropin.values`, and `_dropin` for the package
    itself.
    """
    found = {}
    for file in PACKAGE.rglob("*.py*"):
        if file.suffix in (".py", ".pyi"):
            parts = file.relative_to(PACKAGE).with_suffix("").parts
            found[".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)] = file
    return found


def imports(name: str, file: pathlib.Path, known: "dict[str, pathlib.Path]"):
    """What a module imports of this package, with the line; imports in functions count, those for
    type checkers do not.
    """
    package = [] if name == "__init__" else name.split(".")
    if file.name not in ("__init__.py",):
        package = package[:-1]
    todo = list(ast.parse(file.read_text()).body)
    for node in todo:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            todo += node.orelse
            continue
        todo += ast.iter_child_nodes(node)
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) + 1 - node.level] + (node.module or "").split(".")
            base = [part for part in base if part]
            for alias in node.names:
                whole, of = ".".join([*base, alias.name]), ".".join(base) or "__init__"
                yield whole if whole in known else of, node.lineno


def test_modules_import_downwards():
    known, faults, edges = modules(), [], {}
    for name, file in known.items():
        # The stubs of the native half are for type checkers alone.
        for other, line in imports(name, file, known) if file.suffix == ".py" else ():
            if other != name:
                edges.setdefault(name, {})[other] = line
                if RANK[name.split(".")[0]] > RANK[other.split(".")[0]]:
                    faults.append(f"{file.name}:{line}: {name} imports {other} from a layer above")
    reach = {name: set(edges.get(name, ())) for name in known}
    for between in known:
        reach = {name: to | reach[between] if between in to else to for name, to in reach.items()}
    for name in known:
        for other, line in edges.get(name, {}).items():
            if name in reach[other]:
                faults.append(f"{known[name].name}:{line}: {name} imports {other}, which leads back")
    assert faults == [], "\n".join(faults)
    assert edges["_dropin.values"]["_dropin.segments"] and edges["registry"]["_native"], "imports are seen"
