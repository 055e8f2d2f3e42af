"""Progress on stderr: a live display in a terminal, otherwise a line for each finished trial."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from rich.text import Text

from ratio_hpo.core.plans import WINDOWS
from ratio_hpo.core.trial import State, TrialRecord
from ratio_hpo.report.formatting import duration, number, say

if TYPE_CHECKING:
    from ratio_hpo.study import Study
    from ratio_hpo.study.state import StudyState

ProgressCallback = Callable[["StudyState"], None]
MAX_LINES = 16
FRONT_SECONDS = 1.0
"""Minimum time between two computations of the front, in seconds; large studies take longer."""


class Display:
    """Progress display of a search."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)

    say = staticmethod(say)

    @contextmanager
    def running(self, study: Study, trials: int) -> Iterator[ProgressCallback]:
        """Show the trials of a search; trials that finished in earlier runs are not shown again.

        Args:
            study: The study.
            trials: Total number of trials that the search requests.

        Yields:
            The callback that updates the display with the study state.
        """
        past = {record.number for record in study.records() if record.state.finished}
        plan, total = study.plan, max(trials, len(past))
        target = f"{study.target:.3f}" if study.target is not None else "from trial 0"
        say(f"study {plan.name}: {len(past)} of {total} trials done; target {plan.about.measure} {target}")
        progress = StudyProgress(plan.name, total, len(past), plan.largest_cost)
        live = Live(progress.render(), console=self._console, refresh_per_second=4) if self._is_terminal() else None

        def watch(view: StudyState) -> None:
            if live is not None:
                progress.update(view)
                live.update(progress.render())
            ended = [record for record in view.records if record.state.finished and record.number not in past]
            past.update(record.number for record in ended)
            for record in sorted(ended, key=lambda record: record.ended or 0.0):
                line = trial_line(record, plan.about.cost_unit)
                say(line) if live is None else self._console.print(line, highlight=False, markup=False)

        with live or nullcontext():
            yield watch

    def _is_terminal(self) -> bool:
        return (self._console.is_terminal and sys.stderr.isatty()) or self._console.record


class StudyProgress:
    """Progress bar of the study, summary of its front and a line for each running trial, within 80 columns."""

    def __init__(self, name: str, total: int, done: int, largest_cost: float) -> None:
        self._began, self._past, self._largest = time.monotonic(), done, largest_cost
        self._measured, self._front = 0.0, ""
        self._records: Sequence[TrialRecord] = ()
        self._total = total
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(bar_width=16),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[eta]}"),
        )
        short_name = name if len(name) <= 30 else f"{name[:29]}…"
        self._task = self._bar.add_task(short_name, total=total, completed=done, eta="")

    def update(self, view: StudyState) -> None:
        """Update the display with the study state."""
        self._records = view.records
        done = [record for record in view.records if record.state.finished]
        self._bar.update(self._task, completed=len(done), eta=self._eta(len(done)))
        if time.monotonic() - self._measured > FRONT_SECONDS:
            self._front = self._summary(view, done)
            self._measured = time.monotonic()

    def render(self) -> Group:
        """Return the current display."""
        running = [r for r in self._records if r.state is State.RUNNING and r.worker]
        lines = [Text(running_line(record), no_wrap=True, overflow="ellipsis") for record in running[:MAX_LINES]]
        if len(running) > MAX_LINES:
            lines.append(Text(f"  … and {len(running) - MAX_LINES} more running"))
        return Group(self._bar, Text(self._front, no_wrap=True, overflow="ellipsis"), *lines)

    def _summary(self, view: StudyState, done: Sequence[TrialRecord]) -> str:
        from ratio_hpo.metrics.front import front_hypervolume

        members = view.front.points(view.records)
        if not members:
            return "no evaluation yet"
        pruned = sum(record.state is State.PRUNED for record in done)
        volume = front_hypervolume(members, self._largest)
        best = members[-1]
        ratio = "" if best.trial.ratio is None else f" at ratio {best.trial.ratio:.2f}"
        summary = f"front of {len(members)} · hypervolume {volume:.3f}"
        return f"{pruned} pruned · {summary} · best rung {best.progress.primary_score:.3f}{ratio}"

    def _eta(self, done: int) -> str:
        """Return the estimated remaining time, from the work since the start including running trials."""
        parts = [
            min(r.curve[-1].cost / (r.plan.cost or self._largest), 1.0)
            for r in self._records
            if r.state is State.RUNNING and r.worker and r.curve
        ]
        worked, left = done - self._past + sum(parts), self._total - done - sum(parts)
        if worked <= 0 or left <= 0:
            return ""
        return f"~{duration((time.monotonic() - self._began) / worked * left)} left"


def running_line(record: TrialRecord) -> str:
    """Return the line of a running trial: ratio, learning rate, position and current score."""
    rate = record.params.get("learning_rate")
    rate_column = f"lr {rate:<8.2g}  " if isinstance(rate, float) else ""
    position, score = "starting", ""
    if record.curve:
        last = record.curve[-1]
        position = f"{last.stage} {last.windows:,}"
        score = f"score {last.primary_score:.3f}" if last.has_primary_score else ""
    return f"  trial {record.number:>3}  ratio {number(record.ratio, 2)}  {rate_column}{position:<20}  {score}"


def trial_line(record: TrialRecord, cost_unit: str = WINDOWS) -> str:
    """Return the line of a finished trial."""
    score = "no score"
    if record.scored:
        score = f"score {record.scored[-1].primary_score:.3f} after {record.scored[-1].cost:,.0f} {cost_unit}"
    reason = f" ({record.reason})" if record.reason and record.state is State.FAIL else ""
    ratio = number(record.ratio, 2)
    return f"trial {record.number:>3} {record.state.value:<8} {record.kind}: ratio {ratio}, {score}{reason}"
