"""Checks of a page by programs that are not ours, and by the rules of the format. Each returns what is wrong."""

from __future__ import annotations

import math
import re
import subprocess
from collections.abc import Iterable, Iterator

from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from model import Registry, Sample

OWN = "shmetrics_"
WATCHDOG_SECONDS = 60

# What promtool says of style, not of the format.
LINT_ALLOWED = {
    "no help text": "an empty help is legal, and has no line",
    "metric names should not contain ':'": "legal; that they are best kept for recording rules is the user's affair",
    "metric names should be written in 'snake_case' not 'camelCase'": "legal, and the user's choice",
    "label names should be written in 'snake_case' not 'camelCase'": "legal, and the user's choice",
}


def parse(page: bytes) -> list[Metric]:
    return list(text_string_to_metric_families(page.decode()))


def parsed_samples(metrics: Iterable[Metric]) -> Iterator[Sample]:
    for metric in metrics:
        for s in metric.samples:
            yield s.name, tuple(s.labels.items()), s.value


QUANTILE_ERROR = 0.011  # as documented


def same_sample(labels: Iterable[tuple[str, str]], expected: float, found: float) -> bool:
    """The model's quantiles are exact."""
    if "quantile" in dict(labels) and math.isfinite(expected):
        return abs(found - expected) <= QUANTILE_ERROR * abs(expected)
    return same_value(expected, found)


def same_value(a: float, b: float) -> bool:
    if math.isnan(a) or math.isnan(b):
        return math.isnan(a) and math.isnan(b)
    return a == b and math.copysign(1, a) == math.copysign(1, b)


def differences(expected: list[Sample], found: list[Sample], reordered: bool = False) -> list[str]:
    if reordered:
        expected, found = (sorted(samples, key=lambda s: s[:2]) for samples in (expected, found))
    for i, (e, f) in enumerate(zip(expected, found)):
        if e[:2] != f[:2] or not same_sample(e[1], e[2], f[2]):
            return [f"sample {i} should be {e}, and is {f}"]
    if len(expected) != len(found):
        return [f"there should be {len(expected)} samples, and are {len(found)}"]
    return []


def model_problems(page: bytes, model: Registry) -> list[str]:
    """What prometheus_client's parser finds on the page against what the model has, in order."""
    try:
        metrics = parse(page)
    except ValueError as error:
        return [f"prometheus_client's parser: {error}"]
    problems = []
    families = [m for m in metrics if not m.name.startswith(OWN)]
    # The parser calls untyped ones unknown; the library writes a space for a carriage return, which
    # no format can escape.
    names = [
        (f.shown_name, f.text_type.replace("untyped", "unknown"), f.help.replace("\r", " ").strip())
        for f in model.families
    ]
    found = [(m.name + "_total" * (m.type == "counter"), m.type, m.documentation.strip()) for m in families]
    if names != found:
        problems.append(f"the families should be {names}, and are {found}")
    expected = [s for i in range(len(model.families)) for s in model.samples(i)]
    problems += differences(expected, list(parsed_samples(families)), model.reordered)
    own = {
        name: value
        for name, labels, value in parsed_samples(metrics)
        if name.startswith(OWN) and labels == model.fixed
    }
    counts = {
        "shmetrics_series": model.series(),
        "shmetrics_overflow_lookups_total": model.refused,
        "shmetrics_updates_rejected_total": model.rejected,
        "shmetrics_registrations_failed_total": 0,
        "shmetrics_corrupt_records": 0,
        "shmetrics_segment_leaked_bytes": 0,
    }
    problems += [f"{n} should be {v}, and is {own.get(n)}" for n, v in counts.items() if own.get(n) != v]
    return problems


_COMMENT = re.compile(r"# (HELP|TYPE) (\S+) ?(.*)", re.DOTALL)
TYPES = ("counter", "gauge", "histogram", "summary", "untyped")
# After the name and its labels. Parsers take other forms as well, but not each the same.
_VALUE = re.compile(r"[\w:]+(\{.*\})? (NaN|[+-]Inf|-?[0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?)")
_SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("", "_sum", "_count")}


def structure_problems(page: bytes) -> list[str]:
    """The rules of the text format that parsers are lax about."""
    text = page.decode()
    problems = [] if text.endswith("\n") else ["the page does not end in a line feed"]
    kinds: dict[str, str] = {}
    helped: set[str] = set()
    current = ""
    for line in text.removesuffix("\n").split("\n"):
        if comment := _COMMENT.fullmatch(line):
            what, name, rest = comment.groups()
            if name in kinds or (what == "HELP" and name in helped):
                problems.append(f"a second or late {what} of {name}")
            current = name
            if what == "HELP":
                helped.add(name)
            elif rest in TYPES:
                kinds[name] = rest
            else:
                problems.append(f"{name} has the type {rest!r}")
        else:
            name = re.match(r"[a-zA-Z0-9_:]*", line)[0]
            allowed = [current + suffix for suffix in _SUFFIXES.get(kinds.get(current, ""), ("",))]
            if current not in kinds or name not in allowed:
                problems.append(f"this line does not belong to {current or 'any family'}: {line}")
            if not _VALUE.fullmatch(line):
                problems.append(f"there is no value of the usual form, or a timestamp, in this line: {line}")
    return problems or _sample_problems(page)


def _sample_problems(page: bytes) -> list[str]:
    try:
        metrics = parse(page)
    except ValueError as error:
        return [f"prometheus_client's parser: {error}"]
    problems = []
    seen: set[tuple] = set()
    for name, labels, _ in parsed_samples(metrics):
        # an empty label is no label
        key = (name, tuple(sorted((k, v) for k, v in labels if v != "")))
        if key in seen:
            problems.append(f"{name}{dict(labels)} is there twice")
        seen.add(key)
    for metric in metrics:
        if metric.type == "histogram":
            problems += histogram_problems(metric)
        if metric.type == "counter":
            problems += [f"{s.name}{s.labels} is {s.value}" for s in metric.samples if not 0 <= s.value < math.inf]
    return problems


def histogram_problems(metric: Metric) -> list[str]:
    """Bounds and counts rise, the last bucket is +Inf, and it is the count."""
    problems = []
    series: dict[tuple, list[tuple[float, float]]] = {}
    counts: dict[tuple, float] = {}
    for s in metric.samples:
        key = tuple(sorted((k, v) for k, v in s.labels.items() if k != "le"))
        if s.name.endswith("_bucket"):
            series.setdefault(key, []).append((float(s.labels["le"]), s.value))
        elif s.name.endswith("_count"):
            counts[key] = s.value
    for key in series.keys() | counts.keys():
        buckets = series.get(key, [])
        bounds, values = [b for b, _ in buckets], [v for _, v in buckets]
        where = f"{metric.name}{dict(key)}"
        if bounds != sorted(set(bounds)) or bounds[-1:] != [math.inf]:
            problems.append(f"{where} has the bounds {bounds}")
        elif values != sorted(values):
            problems.append(f"{where} has falling buckets {values}")
        elif values[-1] != counts.get(key):
            problems.append(f"{where} has {values[-1]} in its last bucket and the count {counts.get(key)}")
    return problems


def promtool_problems(page: bytes) -> list[str]:
    """`promtool check metrics`: 0 is right, 3 a matter of style, anything else wrong."""
    command = ["promtool", "check", "metrics"]
    done = subprocess.run(command, input=page, capture_output=True, timeout=WATCHDOG_SECONDS)
    said = (done.stderr + done.stdout).decode(errors="replace").splitlines()
    if done.returncode not in (0, 3):
        return [f"promtool: status {done.returncode}: {' '.join(said)}"]
    return [f"promtool: {line}" for line in said if line and line.split(" ", 1)[-1] not in LINT_ALLOWED]
