"""What the run looks like while it goes on: a block redrawn in place on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from dataclasses import dataclass

REDRAW_SECONDS = 0.25
LINE_SECONDS = 2.0
BAR = 36


@dataclass
class State:
    elapsed: float
    total: float  # 0: until Ctrl-C
    answered: int
    per_second: float
    languages: dict[str, float]  # as scraped
    p95: float  # as scraped, in seconds
    alive: int
    workers: int
    kills: int
    cut_off: int
    url: str


class Screen:
    def __init__(self) -> None:
        self._terminal = sys.stdout.isatty()
        self._drawn = 0
        self.period = REDRAW_SECONDS if self._terminal else LINE_SECONDS

    def show(self, state: State) -> None:
        if not self._terminal:
            print(_line(state), flush=True)
            return
        block = _block(state)
        back = f"\x1b[{self._drawn}A" if self._drawn else ""
        sys.stdout.write(back + "".join(f"\x1b[2K{line}\n" for line in block))
        sys.stdout.flush()
        self._drawn = len(block)


def _clock(state: State) -> str:
    return f"{state.elapsed:.0f} s" + (f" of {state.total:.0f}" if state.total else ", Ctrl-C ends it")


def _line(s: State) -> str:
    languages = "  ".join(f"{language} {count:,.0f}" for language, count in s.languages.items())
    return (
        f"{_clock(s)}: {s.answered:,} answered ({languages}), {s.per_second:,.0f}/s, p95 {s.p95 * 1e3:.2f} ms, "
        f"{s.alive}/{s.workers} workers, {s.kills} killed"
    )


def _block(s: State) -> list[str]:
    most = max(s.languages.values(), default=0) or 1
    return [
        f"  {_clock(s)}",
        f"  answered   {s.answered:>11,} requests   {s.per_second:>7,.0f}/s   95 % within {s.p95 * 1e3:.2f} ms",
        *(
            f"  {language:<10} {count:>11,.0f} {'█' * round(BAR * count / most)}"
            for language, count in s.languages.items()
        ),
        f"  workers    {s.alive:>11} of {s.workers} alive   {s.kills} killed so far, {s.cut_off} requests cut off",
        f"  look at it yourself:  curl {s.url}",
    ]
