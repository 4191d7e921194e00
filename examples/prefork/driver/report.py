"""The short table at the end."""

from __future__ import annotations

from collections import Counter

from .verdict import Verdict

PROBLEMS_SHOWN = 20


def report(verdict: Verdict, pages: list[str], kills: Counter[str]) -> str:
    lines = ["", f"  {'request':<20} {'answered':>10} {'on the page':>12} {'cut off':>9} {'of them counted':>16}"]
    for request, answered, counted, extra, cut_off in verdict.rows:
        lines.append(f"  {request:<20} {answered:>10,} {counted:>12,} {cut_off or '-':>9} {extra or '-':>16}")
    lines += [
        "",
        f"  pages {'compared' if verdict.problems else 'that agree'}     {', '.join(pages)}",
        f"  by language          {_named(verdict.languages)}",
        f"  workers killed       {sum(kills.values())} ({_named(kills)}), every one replaced",
        f"  in flight in a killed worker: {verdict.cut_off}, of which {verdict.cut_off_counted} had been counted"
        + (f", {verdict.not_observed} of these not yet observed" if verdict.not_observed else ""),
    ]
    if verdict.others:
        lines.append(f"  from other clients   {verdict.others:,}")
    lines.append("")
    if verdict.problems:
        lines += [f"  WRONG: {problem}" for problem in verdict.problems[:PROBLEMS_SHOWN]]
        if len(verdict.problems) > PROBLEMS_SHOWN:
            lines.append(f"  WRONG: ... {len(verdict.problems)} problems in all")
    else:
        lines.append("  Every answered request is on the page, exactly once.")
    return "\n".join(lines)


def _named(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items()))
