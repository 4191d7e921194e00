"""Plays a script on the library and on the model at once, and collects the pages."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field

import shm
from model import Family, Labels, Process, Registry, Values
from processes import Worker, in_child

MAX_SIZE = 32 << 20
PIECE = 97  # bytes: many pieces, and never a whole series


@dataclass
class Script:
    """Families, and what happens to them. Process 0 is the one that opens the segment."""

    families: list[Family]
    steps: list[tuple] = field(default_factory=list)
    fixed: Labels = ()  # of the segment

    def start(self, identity: int = 0) -> None:
        """Forks a worker. Its identity is its pid, unless it is given."""
        self.steps.append(("start", identity))

    def end(self, process: int, how: str) -> None:
        self.steps.append(("end", process, how))

    def look_up(self, family: int, *values: str | bytes) -> None:
        self.steps.append(("look up", family, values))

    def update(self, process: int, family: int, values: Values, verb: str, *arguments: float) -> None:
        self.steps.append(("update", process, family, values, verb, *arguments))

    def remove(self, family: int, *values: str | bytes) -> None:
        self.steps.append(("remove", family, values))


@dataclass
class Played:
    model: Registry
    page: bytes
    again: bytes  # rendered a second time
    pieces: bytes  # rendered a small piece at a time
    pages: dict[str, bytes]  # in the formats that were asked for


def play(script: Script, pages: dict[str, Callable[[shm.Segment], bytes]] | None = None) -> Played:
    return in_child(lambda: _play(script, pages or {}))


def _play(script: Script, pages: dict[str, Callable[[shm.Segment], bytes]]) -> Played:
    segment = shm.Segment(how=shm.ANONYMOUS, max_size=MAX_SIZE, labels=script.fixed)
    model, workers = perform(script, segment)
    played = Played(model, segment.render(), segment.render(), segment.render_in_pieces(PIECE), {})
    played.pages = {name: render(segment) for name, render in pages.items()}
    for worker in filter(None, workers):
        worker.end("exit")
    return played


def perform(script: Script, segment: shm.Segment) -> tuple[Registry, list[Worker | None]]:
    """In a segment that there is. The workers that are left must be ended."""
    families = [_register(segment, family) for family in script.families]
    model = Registry(script.families, [Process(os.getpid())], script.fixed)
    workers: list[Worker | None] = [None]

    def obey(order: tuple) -> None:
        family, values, verb, *arguments = order
        if verb == "identity":
            segment.set_identity(*arguments)
        else:
            families[family].with_(*values).update(verb, *arguments)

    for verb, *step in script.steps:
        if verb == "start":
            worker = Worker(obey)
            if step[0]:
                worker.do((0, (), "identity", step[0]))
            workers.append(worker)
            model.processes.append(Process(step[0] or worker.pid))
        elif verb == "end":
            workers[step[0]].end(step[1])
            workers[step[0]] = None
            model.processes[step[0]].alive = False
        elif verb == "look up":
            families[step[0]].with_(*step[1])
            model.look_up(*step)
        elif verb == "remove":
            removed = families[step[0]].remove(*step[1])
            assert removed == model.remove(*step), f"{step}: removed is {removed}"
        else:
            process, *order = step
            workers[process].do(tuple(order)) if process else obey(tuple(order))
            model.update(*step)
    return model, workers


def _register(segment: shm.Segment, f: Family) -> shm.Family:
    return segment.register(
        f.kind, f.name, f.help, f.labels,
        unit=f.unit, mode=f.mode, buckets=f.buckets, max_series=f.max_series, states=f.states,
        factor=f.factor, zero=f.zero, most=f.most, quantiles=f.quantiles,
    )  # fmt: skip
