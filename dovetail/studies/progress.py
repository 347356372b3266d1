"""A progress bar of a running study on the terminal."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from dovetail.studies.runner import Status

REDRAW_SECONDS = 0.25
"""Least time between two redraws: the hypervolume of a large front takes a while."""


class ProgressBar:
    """Shows evaluations, designs per second, feasible designs and hypervolume.

    Pass it to `run_study` as `progress` within a `with` block.

    Args:
        title: what stands before the bar.
        console: where to draw; the error stream by default, so that output can be piped.
    """

    def __init__(self, title: str = "search", console: Console | None = None) -> None:
        self._progress = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TextColumn("feasible {task.fields[feasible]}"),
            TextColumn("hypervolume [bold]{task.fields[hypervolume]}"),
            TimeRemainingColumn(),
            console=console or Console(stderr=True),
            refresh_per_second=4,
        )
        self._task = self._progress.add_task(
            title, total=None, rate="", feasible="0", hypervolume="0"
        )
        self._drawn = float("-inf")
        self._first: tuple[float, int] | None = None
        self._last: Status | None = None

    def __call__(self, status: Status) -> None:
        """Takes the state of the study after a batch."""
        now = time.monotonic()
        self._last = status
        if status.evaluations == status.replayed or self._first is None:
            self._first = (now, status.evaluations)
        if now - self._drawn >= REDRAW_SECONDS or status.spent >= status.budget:
            self._drawn = now
            self._draw(status, now)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._last is not None:
            self._draw(self._last, time.monotonic())
        self._progress.stop()

    def _draw(self, status: Status, now: float) -> None:
        self._progress.update(
            self._task,
            total=status.budget,
            completed=int(status.spent),
            rate=self._rate(status, now),
            feasible=f"{status.feasible:,}",
            hypervolume=f"{status.archive.hypervolume:.5g}",
        )

    def _rate(self, status: Status, now: float) -> str:
        if self._first is None or status.evaluations <= self._first[1]:
            return "replaying" if status.replayed else ""
        since, start = self._first
        rate = (status.evaluations - start) / max(now - since, 1e-9)
        return f"{rate:,.0f} designs/s" if rate >= 10 else f"{rate:.2f} designs/s"
