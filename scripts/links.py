#!/usr/bin/env python3
"""Fails if a link in the documentation leads to a file or a heading that does not exist."""

import re
import sys
import unicodedata

from files import ROOT, listed

LINK = re.compile(r"(?<!\\)\[[^\]\[]*\]\(([^()\s]+)\)")
FENCE = re.compile(r"^(```|~~~).*?^\1", re.M | re.S)


def anchor(heading):
    """The name that GitHub and mdBook give a heading."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").strip().lower()
    kept = (c for c in text if c in "-_ " or unicodedata.category(c)[0] in "LN")
    return "".join(kept).replace(" ", "-")


def anchors(text):
    """All headings, with the numbers of those that occur more than once."""
    seen, found = {}, set(re.findall(r'<a (?:id|name)="([^"]+)"', text))
    for heading in re.findall(r"^#{1,6} +(.+?) *#*$", FENCE.sub("", text), re.M):
        name = anchor(heading)
        found.add(name if name not in seen else f"{name}-{seen[name]}")
        seen[name] = seen.get(name, 0) + 1
    return found


def broken(page, text, known):
    for target in LINK.findall(FENCE.sub("", text)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, fragment = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists():
            yield f"{target}: there is no such file"
        elif fragment and file.suffix == ".md":
            if file not in known:
                known[file] = anchors(file.read_text())
            if fragment not in known[file]:
                yield f"{target}: there is no such heading"


def main():
    pages = [ROOT / name for name in listed(".md")]
    known, wrong, count = {}, [], 0
    for page in pages:
        text = page.read_text()
        count += len(LINK.findall(FENCE.sub("", text)))
        wrong += [f"{page.relative_to(ROOT)}: {fault}" for fault in broken(page, text, known)]
    print("\n".join(wrong) if wrong else f"{count} links in {len(pages)} pages lead somewhere")
    return bool(wrong)


def test():
    page = ROOT / "README.md"
    assert anchor("How it works: `a-b` (new)") == "how-it-works-a-b-new"
    assert anchors("# A b\n## A b\n```\n# no\n```\n") == {"a-b", "a-b-1"}
    assert list(broken(page, "[a](no-such-file.md)", {})) and list(broken(page, "# One\n[a](#two)", {page: {"one"}}))
    assert not list(broken(page, "[a](#one) [b](CHANGELOG.md) [c](https://example.org)", {page: {"one"}}))


if __name__ == "__main__":
    test()
    sys.exit(main())
