"""Progress of a training run: a board that is redrawn in a terminal, or plain lines in a log file."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from iodine_kit.cli.text_charts import bar, floats, mean, number, number_column, shares, sparkline
from iodine_kit.formatting import byte_size, duration
from iodine_kit.progress import Show

_MOST_LOSSES = 512


class Score(NamedTuple):
    """FG-ARI of a validation, and the step after which it was computed."""

    value: float
    step: int


class TrainingProgress:
    """A run from step ``done`` to step ``total``; ``clock`` returns seconds.

    Attributes:
        step, row: the last step, and the last value of every key of the log.
        losses: at most 512 means over all losses so far, so that the curve of a run of any length is whole.
        last, best: FG-ARI of the last and of the best validation.
    """

    def __init__(self, total: int, done: int = 0, clock: Callable[[], float] = time.monotonic) -> None:
        self.total, self.done, self.step = total, done, done
        self.row: Mapping[str, Any] = {}
        self.losses: list[float] = []
        self.last: Score | None = None
        self.best: Score | None = None
        self._clock, self._started = clock, clock()
        self._updated = self._started
        self._pending: list[float] = []
        self._stride = 1

    def update(self, step: int, row: Mapping[str, Any]) -> None:
        """Add a row of the log; one up to step ``done``, from before an interruption, only to losses and scores."""
        if step > self.done:
            self.step, self.row, self._updated = step, {**self.row, **row}, self._clock()
        self._add_loss(row.get("loss"))
        score = row.get("fg_ari")
        if isinstance(score, int | float):
            self.last = Score(float(score), step)
            if math.isfinite(score) and (self.best is None or score > self.best.value):
                self.best = self.last

    def elapsed(self) -> float:
        """Seconds since this process started."""
        return self._clock() - self._started

    def left(self) -> float | None:
        """Estimated remaining seconds: the row's estimate, or at the pace so far; ``None`` before the first row."""
        if self.step <= self.done:
            return None
        since = self._clock() - self._updated
        estimate = self.row.get("seconds_left")
        if not isinstance(estimate, int | float):
            estimate = (self._updated - self._started) / (self.step - self.done) * (self.total - self.step)
        return max(float(estimate) - since, 0.0)

    def _add_loss(self, loss: object) -> None:
        self._pending.append(float(loss) if isinstance(loss, int | float) else math.nan)
        if len(self._pending) < self._stride:
            return
        losses = [*self.losses, mean(self._pending)]
        self._pending = []
        if len(losses) >= _MOST_LOSSES:
            losses = [mean(losses[i : i + 2]) for i in range(0, len(losses), 2)]
            self._stride *= 2
        self.losses = losses  # at once: another thread may be drawing


_TWO_COLUMNS, _THREE_COLUMNS = 64, 72  # inside the frame; in a narrower one, a table is below the other
_EXTRAS = {"val_loss": "validation loss", "geco_multiplier": "GECO multiplier", "skipped": "skipped batches"}
_FIXED_LINES = 12
_MOST_ROWS = 10
_LINES_OF_A_LOG = 100


@contextmanager
def watching(console: Console, total: int, done: int = 0, *, redraws: bool = True) -> Iterator[Show]:
    """Show a run on ``console``: a board in a terminal that ``redraws`` lines, plain lines elsewhere."""
    progress = TrainingProgress(total, done)
    if not redraws or not console.is_terminal or console.is_dumb_terminal:
        yield plain_lines(progress, lambda line: console.out(line, highlight=False))
        return
    with Live(Board(progress), console=console, refresh_per_second=4):
        yield progress.update


def plain_lines(progress: TrainingProgress, write: Callable[[str], None]) -> Show:
    """Write a line for the first and the last row, and about a hundred between them, more often at the beginning."""
    due = progress.done

    def show(step: int, row: Mapping[str, Any]) -> None:
        nonlocal due
        progress.update(step, row)
        if step > progress.done and (step >= due or step >= progress.total):
            write(line(progress))
            due = step + max(1, min((step - progress.done) // 2, progress.total // _LINES_OF_A_LOG))

    return show


def line(progress: TrainingProgress) -> str:
    """The state of a run in one line; unknown values are omitted."""
    row = progress.row
    parts = [f"step {progress.step:,}/{progress.total:,}"]
    parts += [f"{name} {number(row[name])}" for name in ("loss", "nll", "kl") if name in row]
    parts += [f"FG-ARI {number(progress.last.value)}"] if progress.last else []
    parts += [f"skipped {row['skipped']}"] if row.get("skipped") else []
    parts += _pace(progress)
    return "  ".join([*parts, f"left {duration(progress.left())}"])


def _pace(progress: TrainingProgress) -> list[str]:
    row = progress.row
    parts = [f"{number(row['images_per_second'])} images/s"] if "images_per_second" in row else []
    return parts + ([byte_size(row["memory_bytes"])] if "memory_bytes" in row else [])


class Board:
    """The state of a run, drawn with characters: as wide as the terminal, at most 100 columns."""

    def __init__(self, progress: TrainingProgress) -> None:
        self.progress = progress

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        width = min(options.max_width, 100)
        inner, ascii_only = width - 4, options.ascii_only
        rows = max(3, min(_MOST_ROWS, console.size.height - _FIXED_LINES))
        parts = [
            _progress(self.progress, inner),
            Text(""),
            _loss(self.progress, inner, ascii_only),
            _terms(self.progress, inner),
        ]
        parts += _tables(self.progress.row, inner, rows, ascii_only)
        yield Panel(Group(*parts), width=width, box=box.ROUNDED, border_style="dim", title="train", title_align="left")


def _progress(progress: TrainingProgress, width: int) -> RenderableType:
    share = progress.step / progress.total if progress.total else 1.0
    steps = f" {progress.step:,}/{progress.total:,}  {math.floor(100 * share)} %"
    top = Table.grid(expand=True)
    top.add_column(ratio=1)
    top.add_column(no_wrap=True)
    top.add_row(ProgressBar(max(progress.total, 1), progress.step, width=max(width - len(steps), 4)), Text(steps))
    times = f"elapsed {duration(progress.elapsed())}   left {duration(progress.left())}"
    pace = "   ".join(_pace(progress))
    gap = "   " if len(times) + len(pace) + 3 <= width else "\n"
    return Group(top, Text(f"{times}{gap}{pace}".rstrip(), no_wrap=True, overflow="ellipsis"))


def _loss(progress: TrainingProgress, width: int, ascii_only: bool) -> Text:
    text = Text("loss ", style="dim", no_wrap=True, overflow="ellipsis")
    shown = f"{number(progress.row.get('loss')):>10}"
    text.append(shown, style="bold not dim")
    text.append(
        "  " + sparkline(progress.losses, max(width - 5 - len(shown) - 2, 1), ascii_only=ascii_only), "cyan not dim"
    )
    return text


def _terms(progress: TrainingProgress, width: int) -> RenderableType:
    """The other numbers, in three columns or two; those of optional features only if the row has them."""
    row = progress.row
    likelihood = _named("nll", f"{number(row.get('nll')):>10}"), _named("kl ", f"{number(row.get('kl')):>10}")
    gradient = (
        _named("gradient norm", number(row.get("grad_norm"))),
        _named("learning rate", number(row.get("learning_rate"))),
    )
    unscored = "val_loss" in row and progress.last is None  # without true masks
    scores = _named("FG-ARI", _score(progress.last)), _named("best  ", _score(progress.best))
    scores = (_named("", ""), _named("", "")) if unscored else scores
    extras = [_named(name, number(row[key])) for key, name in _EXTRAS.items() if row.get(key)]
    grid = Table.grid(padding=(0, 3, 0, 0))
    lines: list[Sequence[Text]]
    if width >= _THREE_COLUMNS:
        lines = [*zip(likelihood, gradient, scores, strict=True), extras]
    else:
        lines = [*zip(likelihood, gradient, strict=True), scores, extras[:2], extras[2:]]
    for cells in filter(None, lines):
        grid.add_row(*cells)
    return grid


def _named(name: str, value: str) -> Text:
    return Text.assemble((f"{name}  ", "dim"), value, no_wrap=True, overflow="ellipsis")


def _score(score: Score | None) -> str:
    return "–" if score is None else f"{number(score.value)} @ {score.step:,}"


def _tables(row: Mapping[str, Any], width: int, rows: int, ascii_only: bool) -> list[RenderableType]:
    """Bars of the likelihood at every refinement step and of the KL of every slot, side by side if there is room."""
    nll, kl = floats(row.get("nll_steps")), floats(row.get("kl_slots"))
    beside = width >= _TWO_COLUMNS
    room = (width - 3) // 2 if beside else width
    rows = rows if beside else max(3, (rows - 2) // 2)
    tables = [
        _bars(title, values, fractions, room, rows, ascii_only, style)
        for title, values, fractions, style in (
            ("NLL per refinement step", nll, shares(nll), "green"),
            ("KL per slot", kl, shares(kl, base=0.0), "magenta"),
        )
        if values
    ]
    if beside and len(tables) == 2:
        grid = Table.grid(padding=(0, 3, 0, 0))
        grid.add_row(*tables)
        return [Text(""), grid]
    return [part for table in tables for part in (Text(""), table)]


def _bars(
    title: str, values: Sequence[float], fractions: Sequence[float], width: int, rows: int, ascii_only: bool, style: str
) -> RenderableType:
    """One line per value; of more than ``rows`` values the first ones, "…" and the last one."""
    last = len(values) - 1
    chosen = [*range(rows - 2), last] if len(values) > rows else [*range(len(values))]
    shown = number_column([values[index] for index in chosen])
    digits, place = max(map(len, shown)), len(str(last))
    room = max(width - digits - place - 4, 1)
    lines = [
        Text.assemble(
            (f"{index:>{place}} ", "dim"),
            f"{text:>{digits}} ",
            (bar(fractions[index], room, ascii_only=ascii_only), style),
        )
        for index, text in zip(chosen, shown, strict=True)
    ]
    if len(chosen) < len(values):
        lines.insert(-1, Text("…" if not ascii_only else "...", style="dim"))
    return Group(Text(title, style="dim"), *lines)
