"""The Rust crate openmetrics-parser as a decoder, by a program that run.sh builds from rust-parser/."""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import replace
from pathlib import Path

from model import Registry
from normal import Normal
from play import Script
from processes import die_with_the_parent
from shm import TARGET

PROGRAM = Path(os.environ.get("RUST_PARSER", TARGET / "rust-parser/release/rust-parser"))


class RustParser:
    def __enter__(self) -> RustParser:
        self._process = subprocess.Popen(
            [PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, preexec_fn=die_with_the_parent
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def _decode(self, format: str, page: bytes) -> Normal:
        self._process.stdin.write(f"{format} {len(page)}\n".encode() + page)
        self._process.stdin.flush()
        found = json.loads(self._process.stdout.readline())
        if "error" in found:
            raise ValueError(f"openmetrics-parser: {found['error']}")
        normal = Normal()
        for name, labels, value in found["samples"]:
            normal.add(name, map(tuple, labels), float(value))
        for name, labels, value in found["created"]:
            normal.add_created(name, map(tuple, labels), float(value))
        for name, *about in found["families"]:
            normal.add_family(name, *about)
        return normal

    def text(self, page: bytes) -> Normal:
        return self._decode("text", page)

    def openmetrics(self, page: bytes) -> Normal:
        return self._decode("openmetrics", page)


def tame(script: Script) -> Script:
    """A script without what the crate takes amiss, though it is legal: carriage returns in labels, label sets of several shapes (an
    overflow series), units of histograms and summaries, and in the text format sums that may fall."""

    def text(value: str) -> str:
        return value.replace("\r", "")

    observed = ("histogram", "gauge_histogram", "summary")
    families = [
        replace(
            f, max_series=0, unit="" if f.kind in observed else f.unit,
            buckets=f.buckets and tuple(b for b in f.buckets if b > 0),
        )
        for f in script.families
    ]  # fmt: skip
    steps = []
    for verb, *step in script.steps:
        if verb == "update":
            process, index, values, what, *amount = step
            if families[index].kind in observed:
                amount = [abs(amount[0])]
                what = "observe"
            step = [process, index, tuple(map(text, values)), what, *amount]
        elif verb in ("look up", "remove"):
            step[1] = tuple(map(text, step[1]))
        steps.append((verb, *step))
    return Script(families, steps, tuple((name, text(value)) for name, value in script.fixed))


def without_empty_families(page: bytes, model: Registry) -> bytes:
    """The crate takes the first line of the next family for one of a family without samples."""
    for index, family in enumerate(model.families):
        if not model.samples(index):
            names = f"(?:{re.escape(family.shown_name)}|{re.escape(family.base_name)})"
            page = re.sub(rf"# (?:TYPE|HELP|UNIT) {names} [^\n]*\n".encode(), b"", page)
    return page
