"""Progress on stderr: a live bar in a terminal, a line for each finished trial elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ratio_hpo.cli.printing import say
from ratio_hpo.core.trial import State, TrialRecord

if TYPE_CHECKING:
    from ratio_hpo.experiment.search import Search
    from ratio_hpo.study import Study

Watch = Callable[[Sequence[TrialRecord]], None]


class Display:
    """Shows how a search goes."""

    def say(self, line: str) -> None:
        say(line)

    @contextmanager
    def running(self, search: Search, study: Study) -> Iterator[Watch]:
        """Follow the trials of a search; finished ones of earlier runs are not shown again."""
        past = {record.number for record in study.records() if record.state.finished}
        total = max(search.trials, len(past))
        say(f"study {search.plan.name}: {len(past)} of {total} trials are done; target F1 {_target(study)}")
        began, shown = time.monotonic(), set(past)
        bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=12),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[eta]}"),
            TextColumn("{task.fields[best]}"),
            console=Console(stderr=True),
            disable=not sys.stderr.isatty(),
        )
        with bar:
            task = bar.add_task("trials", total=total, completed=len(past), eta="", best="")

            def watch(records: Sequence[TrialRecord]) -> None:
                done = [record for record in records if record.state.finished]
                for record in sorted(done, key=lambda r: r.ended or 0.0):
                    if record.number not in shown:
                        shown.add(record.number)
                        bar.console.print(_line(record), highlight=False) if not bar.disable else say(_line(record))
                running = [r for r in records if r.state is State.RUNNING and r.worker]
                pruned = sum(record.state is State.PRUNED for record in done)
                best = max((r for r in done if r.curve), key=lambda r: r.curve[-1].mean_f1, default=None)
                bar.update(
                    task,
                    completed=len(done),
                    description=f"{len(running)} running, {pruned} pruned",
                    eta=_eta(began, len(done) - len(past), total - len(done)),
                    best="" if best is None else f"best {best.curve[-1].mean_f1:.3f} at {best.ratio or 0:.2f}",
                )

            yield watch


def _target(study: Study) -> str:
    return f"{study.target:.3f}" if study.target is not None else "comes from trial 0"


def _eta(began: float, done: int, left: int) -> str:
    if done < 1 or left < 1:
        return ""
    seconds = (time.monotonic() - began) / done * left
    return f"~{seconds / 60:.0f} min left" if seconds >= 90 else f"~{seconds:.0f} s left"


def _line(record: TrialRecord) -> str:
    score = (
        f"mean F1 {record.curve[-1].mean_f1:.3f} after {record.curve[-1].cost:,.0f} windows"
        if record.curve
        else "no score"
    )
    ratio = "-" if record.ratio is None else f"{record.ratio:.2f}"
    reason = f" ({record.reason})" if record.reason else ""
    return f"trial {record.number:>3} {record.state.value:<8} {record.kind}: ratio {ratio}, {score}{reason}"
