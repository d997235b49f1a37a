"""Training as it goes on: a board that is redrawn in a terminal, or a plain line now and then."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from iodine_kit.cli.text_charts import bar, duration, figure, figures, numbers, shares, size, sparkline
from iodine_kit.cli.training_progress import Course, Score
from iodine_kit.progress import Show

_TWO_COLUMNS, _THREE_COLUMNS = 64, 72  # inside the frame; narrower, tables stand below each other
_EXTRAS = {"val_loss": "validation loss", "geco_multiplier": "GECO multiplier", "skipped": "skipped batches"}
_FIXED_LINES = 12
_MOST_ROWS = 10
_LINES_OF_A_LOG = 100


@contextmanager
def watching(console: Console, total: int, done: int = 0) -> Iterator[Show]:
    """Show a run on ``console``: a board where somebody sees it being redrawn, plain lines otherwise."""
    course = Course(total, done)
    if not console.is_terminal or console.is_dumb_terminal:
        yield plain_lines(course, lambda line: console.out(line, highlight=False))
        return
    with Live(Board(course), console=console, refresh_per_second=4):
        yield course.tell


def plain_lines(course: Course, write: Callable[[str], None]) -> Show:
    """Write a line for the first row and the last, and some hundred between them, denser at the beginning."""
    due = course.done

    def show(step: int, row: Mapping[str, Any]) -> None:
        nonlocal due
        course.tell(step, row)
        if step > course.done and (step >= due or step >= course.total):
            write(line(course))
            due = step + max(1, min((step - course.done) // 2, course.total // _LINES_OF_A_LOG))

    return show


def line(course: Course) -> str:
    """The state of a run in one line; what is not known is left out."""
    row = course.row
    parts = [f"step {course.step:,}/{course.total:,}"]
    parts += [f"{name} {figure(row[name])}" for name in ("loss", "nll", "kl") if name in row]
    parts += [f"FG-ARI {figure(course.last.value)}"] if course.last else []
    parts += [f"skipped {row['skipped']}"] if row.get("skipped") else []
    parts += _pace(course)
    return "  ".join([*parts, f"left {duration(course.left())}"])


def _pace(course: Course) -> list[str]:
    row = course.row
    parts = [f"{figure(row['images_per_second'])} images/s"] if "images_per_second" in row else []
    return parts + ([size(row["memory_bytes"])] if "memory_bytes" in row else [])


class Board:
    """The state of a run as a picture of characters, as wide as the terminal, up to 100."""

    def __init__(self, course: Course) -> None:
        self.course = course

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        width = min(options.max_width, 100)
        inner, ascii_only = width - 4, options.ascii_only
        rows = max(3, min(_MOST_ROWS, console.size.height - _FIXED_LINES))
        parts = [
            _progress(self.course, inner),
            Text(""),
            _loss(self.course, inner, ascii_only),
            _terms(self.course, inner),
        ]
        parts += _tables(self.course.row, inner, rows, ascii_only)
        yield Panel(Group(*parts), width=width, box=box.ROUNDED, border_style="dim", title="train", title_align="left")


def _progress(course: Course, width: int) -> RenderableType:
    share = course.step / course.total if course.total else 1.0
    steps = f" {course.step:,}/{course.total:,}  {math.floor(100 * share)} %"
    top = Table.grid(expand=True)
    top.add_column(ratio=1)
    top.add_column(no_wrap=True)
    top.add_row(ProgressBar(max(course.total, 1), course.step, width=max(width - len(steps), 4)), Text(steps))
    times = f"elapsed {duration(course.elapsed())}   left {duration(course.left())}"
    pace = "   ".join(_pace(course))
    gap = "   " if len(times) + len(pace) + 3 <= width else "\n"
    return Group(top, Text(f"{times}{gap}{pace}".rstrip(), no_wrap=True, overflow="ellipsis"))


def _loss(course: Course, width: int, ascii_only: bool) -> Text:
    text = Text("loss ", style="dim", no_wrap=True, overflow="ellipsis")
    shown = f"{figure(course.row.get('loss')):>10}"
    text.append(shown, style="bold not dim")
    text.append(
        "  " + sparkline(course.losses, max(width - 5 - len(shown) - 2, 1), ascii_only=ascii_only), "cyan not dim"
    )
    return text


def _terms(course: Course, width: int) -> RenderableType:
    """The other figures, in three columns or two; those of optional features only where there are some."""
    row = course.row
    likelihood = _named("nll", f"{figure(row.get('nll')):>10}"), _named("kl ", f"{figure(row.get('kl')):>10}")
    gradient = (
        _named("gradient norm", figure(row.get("grad_norm"))),
        _named("learning rate", figure(row.get("learning_rate"))),
    )
    scores = _named("FG-ARI", _score(course.last)), _named("best  ", _score(course.best))
    extras = [_named(name, figure(row[key])) for key, name in _EXTRAS.items() if row.get(key)]
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
    return "–" if score is None else f"{figure(score.value)} @ {score.step:,}"


def _tables(row: Mapping[str, Any], width: int, rows: int, ascii_only: bool) -> list[RenderableType]:
    """Bars of the likelihood at every decode and of every slot's KL, beside each other where there is room."""
    nll, kl = numbers(row.get("nll_steps")), numbers(row.get("kl_slots"))
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
    """A line per value; of more than ``rows`` the first ones, "…" and the last."""
    last = len(values) - 1
    chosen = [*range(rows - 2), last] if len(values) > rows else [*range(len(values))]
    shown = figures([values[index] for index in chosen])
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
