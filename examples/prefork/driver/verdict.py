"""Compares what the clients were answered with what the pages say. Whatever cannot be explained is a problem."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from .load import Load
from .page import Page


@dataclass
class Verdict:
    # request, answered, on the page, more on the page than answered, cut off
    rows: list[tuple[str, int, int, int, int]] = field(default_factory=list)
    languages: dict[str, int] = field(default_factory=dict)
    cut_off: int = 0
    cut_off_counted: int = 0
    not_observed: int = 0
    others: int = 0  # requests of other clients, where they are allowed
    problems: list[str] = field(default_factory=list)


def judge(load: Load, pages: dict[str, Page], kills: int, others_allowed: bool) -> Verdict:
    verdict = Verdict(problems=load.wrong())
    first_name, page = next(iter(pages.items()))
    for name, other in pages.items():
        verdict.problems += _differences(first_name, page, name, other)
    _judge_counter(verdict, load, page, others_allowed)
    _judge_histogram(verdict, load, page)
    in_progress = page.by("http_requests_in_progress", "lang")
    for language in verdict.languages:
        if in_progress.get((language,)) != 0:
            verdict.problems.append(f"in progress in {language}: {in_progress.get((language,))}, though nothing is")
    for name, value in page.troubles.items():
        if value != 0:
            verdict.problems.append(f"the library reports {name} {value:g}")
    if verdict.cut_off > kills:
        verdict.problems.append(f"{verdict.cut_off} requests failed, but {kills} killed workers had at most one each")
    return verdict


def _differences(first_name: str, first: Page, name: str, other: Page) -> list[str]:
    here, there = set(first.lines), set(other.lines)
    if first.lines != other.lines and here == there:
        return [f"{name} has the lines of {first_name} in another order"]
    only_here = [f"only {first_name} says: {line}" for line in first.lines if line not in there]
    return only_here + [f"only {name} says: {line}" for line in other.lines if line not in here]


def _judge_counter(verdict: Verdict, load: Load, page: Page, others_allowed: bool) -> None:
    answered, failed = load.answered(), load.failed()
    counted = page.by("http_requests_total", "lang", "method", "path", "status")
    extras: Counter[tuple[str, str]] = Counter()
    rows: Counter[tuple[str, str, str]] = Counter()
    for language, method, path, status in answered:
        counted.setdefault((language, method, path, str(status)), 0)
    for (language, method, path, status), value in sorted(counted.items()):
        extra = int(value) - answered[language, method, path, int(status)]
        if extra < 0:
            verdict.problems.append(f"{-extra} {method} {path} {status} answered by {language} are not on the page")
        extras[method, path] += max(extra, 0)
        rows[method, path, status] += int(value)
        verdict.languages[language] = verdict.languages.get(language, 0) + int(value)
    for (method, path), extra in extras.items():
        explained = min(extra, failed[method, path])
        verdict.cut_off_counted += explained
        verdict.others += extra - explained
        if extra > explained and not others_allowed:
            verdict.problems.append(f"{extra} more {method} {path} on the page than answered, but {explained} failed")
    verdict.cut_off = sum(failed.values())
    for (method, path, status), value in rows.items():
        seen = sum(n for (_, m, p, s), n in answered.items() if (m, p, str(s)) == (method, path, status))
        verdict.rows.append((f"{method} {path} {status}", seen, value, value - seen, failed[method, path]))


def _judge_histogram(verdict: Verdict, load: Load, page: Page) -> None:
    """A request is counted first and observed next: only a kill between the two can set them apart."""
    counted = page.by("http_requests_total", "lang", "path")
    observed = page.by("http_request_duration_seconds_count", "lang", "path")
    in_buckets = page.by("http_request_duration_seconds_bucket", "lang", "path", "le")
    failed: Counter[str] = Counter()
    for (_, path), n in load.failed().items():
        failed[path] += n
    apart: Counter[str] = Counter()
    for language, path in sorted(counted.keys() | observed.keys()):
        count, difference = observed[language, path], int(counted[language, path] - observed[language, path])
        apart[path] += max(difference, 0)
        if difference < 0:
            verdict.problems.append(f"{path} in {language}: {-difference} more observed than counted")
        if in_buckets[language, path, "+Inf"] != count:
            verdict.problems.append(f"{path} in {language}: the last bucket and the count of the histogram disagree")
    for path, n in apart.items():
        verdict.not_observed += n
        if n > failed[path]:
            verdict.problems.append(f"{path}: {n} requests counted but not observed, and only {failed[path]} failed")
