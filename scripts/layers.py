#!/usr/bin/env python3
"""Prints each import that runs up the list of layers, and each in a circle between files, with file and line.

An import is what a `use` or a path in code names, followed through re-exports to the file that defines the name.
Unit tests (`#[cfg(test)] mod tests`) may use anything: they open segments and render pages.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Layers of each crate, from top to bottom. Files of one layer may import each other, in no circle.
CRATES = {
    "src": "capi | lib | testing global | expose | typed | registry | metric | record | segment | process | shm | text | os error kind",
    "bindings/metrics/src": "lib | builder | recorder | cache | handle | shared | settings family | names",
    "bindings/python/src": "lib | values bundle | metrics | labels | family | segment | reader | page exposition | python fork file_system",
    "cli/src": "lib | args | commands | common",
    **dict.fromkeys(["fuzz/src", "benches/rivals/src"], ""),
}
TESTS = re.compile(r"^#\[cfg\((?:all\()?test.*\)\]\n(?:#.*\n)*mod tests \{", re.M)
NO_CODE = re.compile(r"""//[^\n]*|'(?:\\.|[^'\\])'|"(?:\\.|[^"\\])*\"""")
USE = re.compile(r"^([ \t]*)(pub(?:\([^)]*\))? )?use ([\w:{}*,\s]+);", re.M)


def blank(match):
    return re.sub(r"[^\n]", " ", match[0])


def leaves(tree, prefix=""):
    """The paths of a `use` tree, each with the name that it gets."""
    head, brace, rest = tree.strip().partition("{")
    if not brace:
        path, _, name = head.partition(" as ")
        path = re.sub(r"::self$", "", prefix + path.strip())
        return [(path, name.strip() or path.split("::")[-1])] if head.strip() else []
    parts, depth = [""], 0
    for c in rest[: rest.rindex("}")]:
        depth += (c == "{") - (c == "}")
        parts = [*parts, ""] if c == "," and not depth else [*parts[:-1], parts[-1] + c]
    return [leaf for part in parts for leaf in leaves(part, prefix + head.strip())]


def absolute(path, here, modules):
    """The path from the crate's root. `None`: it leads to another crate, or to a local name."""
    parts = path.split("::")
    if parts[0] not in ("crate", "super", "self"):
        return here + tuple(parts) if (*here, parts[0]) in modules else None
    while parts[0] in ("crate", "super", "self"):
        here = {"crate": (), "super": here[:-1], "self": here}[parts.pop(0)]
    return here + tuple(parts)


def read(base):
    """Of each module: its file, its re-exports {name: path}, and its imports [(line, path)]."""
    modules = {}
    for file in sorted(base.rglob("*.rs")):
        parts = file.relative_to(base).with_suffix("").parts
        modules[parts[:-1] if parts[-1] in ("mod", "lib", "main") else parts] = (file, {}, [])
    for here, (file, exports, imports) in modules.items():
        text = NO_CODE.sub(blank, TESTS.split(file.read_text())[0])
        uses = [(m, absolute(path, here, modules), name) for m in USE.finditer(text) for path, name in leaves(m[3])]
        exports |= {name: path for m, path, name in uses if path and m[2] and not m[1]}
        found = [(m.start(3), path) for m, path, _ in uses if path and not (m[2] and not m[1])]
        text = USE.sub(blank, text)
        roots = "|".join(["crate", "super", "self", *(m[-1] for m in modules if m and m[:-1] == here)])
        for m in re.finditer(rf"(?<![\w:$])(?<!in )(?:{roots})(?:::\w+)+", text):
            found.append((m.start(), absolute(m[0], here, modules)))
        imports += [(text.count("\n", 0, at) + 1, path) for at, path in found]
    return modules


def target(path, modules):
    """The module that defines what a path names."""
    n = next(n for n in range(len(path), -1, -1) if path[:n] in modules)
    exported = n < len(path) and modules[path[:n]][1].get(path[n])
    return target(exported + path[n + 1 :], modules) if exported else path[:n]


def faults(name, layers):
    rank = {folder: i for i, names in enumerate(layers.split(" | ")) for folder in names.split()}
    height = lambda module: -rank.get((module or ("lib",))[0], len(rank))  # noqa: E731
    modules, edges = read(ROOT / name), {}
    for here, (file, _, imports) in modules.items():
        for line, path in imports:
            if (there := target(path, modules)) != here:
                at = f"{file.relative_to(ROOT)}:{line}"
                edges.setdefault(here, {}).setdefault(there, at)
                if height(there) > height(here):
                    yield f"{at}: imports {'::'.join(path)} from a layer above"
    reach = {m: set(edges[m]) for m in edges}
    for n in edges:
        reach = {m: seen | reach[n] if n in seen else seen for m, seen in reach.items()}
    for a, b in ((a, b) for a in edges for b in edges[a] if a in reach.get(b, ())):
        yield f"{edges[a][b]}: imports {'::'.join(b) or 'the root'}, which leads back"


found = [fault for name, layers in CRATES.items() for fault in faults(name, layers)]
sys.exit("\n".join(found) or print("the layers are in order"))
