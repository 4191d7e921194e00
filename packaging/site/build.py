#!/usr/bin/env python3
"""Makes the documentation site of the pages in the tree, and follows each link in it: build.py FOLDER.

The pages stay as they are for readers of the repository. A copy of them gets what a site needs: a list of contents, a page
for each folder that a link leads to, and the files that links lead to. Needs what requirements.txt names.
"""

import html.parser
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "scripts"))
from files import listed  # noqa: E402

VERSION = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]
LINK = re.compile(r"(?<!\\)\[([^\]\[]*)\]\(([^()\s]+)\)")
FENCE = re.compile(r"(^(?P<fence>```|~~~).*?^(?P=fence))", re.M | re.S)
CONTENTS = {
    "Start": ["docs/install", "docs/guide", "docs/command", "docs/glossary"],
    "Languages and servers": ["docs/rust", "docs/crate", "bindings/metrics/README", "docs/python", "docs/python-migration", "docs/nginx", "docs/lua"],
    "Running": ["docs/runbook", "docs/reliability", "docs/conformance"],
    "Inside": ["docs/architecture", "docs/format", "docs/benchmarks", "docs/benchmarks/notes"],
    "Project": ["CHANGELOG", "CONTRIBUTING", "SECURITY"],
}


class Copy:
    """The pages in a folder of their own, with all that they link to."""

    def __init__(self, to):
        self.to, self.files, self.done, self.folders = to, {pathlib.Path(name) for name in listed()}, set(), set()

    def page(self, page):
        if page in self.done:
            return
        self.done.add(page)
        # Every second part is code.
        parts = FENCE.split((ROOT / page).read_text())
        text, code = "", False
        for part in parts:
            if part in ("```", "~~~"):
                continue
            code = part.startswith(("```", "~~~"))
            text += part if code else LINK.sub(lambda link: self.link(page, *link.groups()), part)
        self.write(page, text)

    def link(self, page, text, target):
        # Rust's documentation resolves paths of items. A site does not.
        return text if "::" in target else f"[{text}]({self.target(page, target)})"

    def target(self, page, link):
        """What the link is in the copy, after what it leads to is there."""
        path, mark, fragment = link.partition("#")
        if re.match("[a-z]+:", link) or not path:
            return link
        file = pathlib.PurePath(os.path.normpath(page.parent / path))
        if file == pathlib.PurePath("README.md"):
            file = pathlib.PurePath("index.md")
        elif (ROOT / file).is_dir():
            file = self.folder(file)
        elif file.suffix == ".md":
            self.page(file)
        else:
            self.file(file)
        return os.path.relpath(file, page.parent) + mark + fragment

    def folder(self, folder):
        index = folder / "index.md"
        if folder not in self.folders:
            self.folders.add(folder)
            files = sorted(file for file in self.files if file.is_relative_to(folder) and file.suffix != ".md")
            for file in files:
                self.file(file)
            lines = [f"* [{file.relative_to(folder)}]({file.relative_to(folder)})" for file in files]
            self.write(index, "---\norphan: true\n---\n" + "\n".join([f"# Files in `{folder}`", "", *lines, ""]))
        return index

    def file(self, file):
        if file not in self.files:
            sys.exit(f"build.py: {file} is linked and not in the repository")
        (self.to / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, self.to / file)

    def write(self, page, text):
        (self.to / page).parent.mkdir(parents=True, exist_ok=True)
        (self.to / page).write_text(text)


def contents():
    for caption, pages in CONTENTS.items():
        yield "\n".join(["", "```{toctree}", ":hidden:", f":caption: {caption}", "", *pages, "```", ""])


class Page(html.parser.HTMLParser):
    """The links and the anchors of a page."""

    def __init__(self, text):
        super().__init__()
        self.links, self.anchors = [], set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name in ("href", "src") and value:
                self.links.append(value)
            elif name in ("id", "name") and value:
                self.anchors.add(value)


def broken(site):
    pages = {path: Page(path.read_text()) for path in site.rglob("*.html")}
    for path, page in pages.items():
        for link in page.links:
            parts = urllib.parse.urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            file = (path.parent / urllib.parse.unquote(parts.path)).resolve() if parts.path else path
            if not file.is_file():
                yield f"{path.relative_to(site)}: {link}: there is no such file"
            elif parts.fragment and file in pages and urllib.parse.unquote(parts.fragment) not in pages[file].anchors:
                yield f"{path.relative_to(site)}: {link}: there is no such heading"


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    site = pathlib.Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as work:
        copy = Copy(pathlib.Path(work, "pages"))
        copy.page(pathlib.PurePath("README.md"))
        for pages in CONTENTS.values():
            for page in pages:
                copy.page(pathlib.PurePath(page + ".md"))
        missing = {page for page in copy.files if page.parts[0] == "docs" and page.suffix == ".md"} - copy.done
        assert not missing, f"the list of contents leaves out {missing}"
        readme = copy.to / "README.md"
        readme.rename(copy.to / "index.md")
        with (copy.to / "index.md").open("a") as index:
            index.writelines(contents())
        shutil.rmtree(site, ignore_errors=True)
        command = [sys.executable, "-m", "sphinx", "--quiet", "-W", "--keep-going", "-b", "html", "-c", pathlib.Path(__file__).parent]
        subprocess.run([*command, "-d", pathlib.Path(work, "trees"), copy.to, site], check=True, env={**os.environ, "SHMETRICS_VERSION": VERSION})
    (site / ".buildinfo").unlink(missing_ok=True)
    faults = list(broken(site))
    print("\n".join(faults) if faults else f"the site has {len(list(site.rglob('*.html')))} pages, and each link in it leads somewhere")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
