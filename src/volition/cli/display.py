"""The live progress display of a run in a terminal; plain lines where there is no terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Timer
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from volition.run.results import STAGES, Progress

BETWEEN = ("comparison",)  # only of what was corrected
SLOW = 3.0  # seconds after which a person wants to know


@contextmanager
def told_if_slow(what: str) -> Iterator[None]:
    """Says on standard error what is under way, where that takes longer than a moment."""
    timer = Timer(SLOW, print, [what], {"file": sys.stderr, "flush": True})
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


class Display:
    """Shows each `Progress` that it is called with. Writes to standard error only."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._live = Live(console=self._console, refresh_per_second=8, transient=False)
        self._stage = self._told = ""
        self._alarms: tuple[str, ...] = ()

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._live.stop()

    def __call__(self, progress: Progress) -> None:
        if self._console.is_terminal:
            self._live.update(_table(progress))
        elif progress.stage != self._stage:
            self._console.print(f"{progress.stage} ...", highlight=False)
        if progress.told and progress.told != self._told:
            self._console.print(Text(progress.told))
        for alarm in progress.alarms[len(self._alarms) :]:
            self._console.print(Text(f"alarm: {alarm}", style="bold red"))
        self._alarms = progress.alarms or self._alarms
        self._stage, self._told = progress.stage, progress.told or self._told


def _table(progress: Progress) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold")
    grid.add_column()
    stages: tuple[str, ...] = STAGES
    reached = 0
    if progress.stage in STAGES:
        reached = STAGES.index(progress.stage)
    elif progress.stage in BETWEEN:  # the last stage is the report
        stages, reached = (*STAGES[:-1], progress.stage, STAGES[-1]), len(STAGES) - 1
    grid.add_row(
        "stage",
        "  ".join(
            f"[green]✓ {stage}[/]"
            if number < reached
            else f"[bold cyan]▶ {stage}[/]"
            if number == reached
            else f"[dim]{stage}[/]"
            for number, stage in enumerate(stages)
        ),
    )
    if progress.comparisons:
        judged = f"{progress.judgments:,} of {progress.comparisons:,}"
        grid.add_row("judgments", f"{judged}, ${progress.cost_usd or 0:.4f}")
        grid.add_row("", ProgressBar(progress.comparisons, progress.judgments, width=48))
    elif progress.judgments:
        cost = "" if progress.cost_usd is None else f", ${progress.cost_usd:.4f}"
        grid.add_row("judgments used", f"{progress.judgments:,}{cost}")
    if progress.waiting_for:
        grid.add_row("", Text(progress.waiting_for, style="yellow"))
    if progress.heldout_accuracy is not None:
        grid.add_row("held-out accuracy", f"{progress.heldout_accuracy:.1%} of the reward model")
    if progress.total_steps:
        grid.add_row("environment steps", f"{progress.env_steps:,} of {progress.total_steps:,}")
        grid.add_row("", ProgressBar(progress.total_steps, progress.env_steps, width=48))
    if progress.total_episodes:
        grid.add_row("episodes", f"{progress.episodes:,} of {progress.total_episodes:,}")
        grid.add_row("", ProgressBar(progress.total_episodes, progress.episodes, width=48))
    if progress.updates_per_s is not None:
        grid.add_row("updates per second", f"{progress.updates_per_s:,.0f}")
    if progress.learned_return is not None:
        grid.add_row("learned return", f"{progress.learned_return:,.1f}")
    if progress.true_return is not None:
        grid.add_row("true return", f"{progress.true_return:,.1f} [dim](evaluation only)[/]")
    return grid
