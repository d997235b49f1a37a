"""What the command prints: results to standard output, everything else to standard error."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from iodine_kit.addresses import redacted
from iodine_kit.cli.other_commands import completed
from iodine_kit.process import print_json, print_path, visible
from iodine_kit.progress import Advance, Reporter, Show
from iodine_kit.store import Artifact

if TYPE_CHECKING:
    from iodine_kit import tables
    from iodine_kit.evaluation.facts import ComparisonFacts, EvaluationFacts
    from iodine_kit.evaluation.probing.facts import ProbeFacts

_WIDEST = 400
_FRAME = 4
"""Lines of a printed table beside its rows."""


class _StandardError(Console):
    """A console of rich on standard error that knows which characters it can show, and shows control characters.

    Commands that a sentence names act on the store of this command.
    """

    def print(self, *objects: Any, **options: Any) -> None:
        super().print(*(visible(completed(one)) if isinstance(one, str) else one for one in objects), **options)

    @property
    def encoding(self) -> str:
        """Encoding of the stream; that of rich is always UTF-8 for standard error."""
        return str(getattr(self.file, "encoding", None) or "utf-8").lower()


err = _StandardError(stderr=True, highlight=False, soft_wrap=True, emoji=False)  # a path may contain :b:


def _redraws() -> bool:
    """Whether lines can be redrawn: not in a log, even with ``FORCE_COLOR``, nor in a terminal of unknown kind."""
    return err.file.isatty() and bool(os.environ.get("TERM")) and not err.is_dumb_terminal


class Terminal(Reporter):
    """Reports to standard error; progress bars only in a terminal."""

    def note(self, text: str, *, routine: bool = False) -> None:
        sys.stdout.flush()  # what was printed before comes first, also where both streams go to one file
        err.print(redacted(text), markup=False, style="dim")

    @contextmanager
    def track(self, label: str, total: int, done: int = 0) -> Iterator[Advance]:
        columns = [
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[shown]}"),
            TimeElapsedColumn(), TextColumn("ETA"), TimeRemainingColumn(),
        ]  # fmt: skip
        with Progress(*columns, console=err, disable=not _redraws(), transient=True) as progress:
            task = progress.add_task(label, total=total or None, completed=done, shown="")

            def advance(count: int, **fields: object) -> None:
                progress.advance(task, count)
                if fields:
                    progress.update(task, shown="  ".join(f"{name} {value}" for name, value in fields.items()))

            yield advance

    def watch(self, total: int, done: int = 0) -> AbstractContextManager[Show]:
        from iodine_kit.cli.dashboard import watching

        return watching(err, total, done, redraws=_redraws())


def emit(artifact: Artifact, as_json: bool, **facts: Any) -> None:
    """Print the artifact's path, or one JSON object with it."""
    if as_json:
        print_json({"artifact": str(artifact.path), **facts})
    else:
        print_path(artifact.path)


def show_metrics(facts: EvaluationFacts) -> None:
    """Show the summary of an evaluation as a table."""
    from iodine_kit.evaluation.tables import empty_columns, ignored_note, summary_tables

    none = empty_columns(facts.metrics.values())
    show_table(summary_tables(facts)[0].without("median", *none))
    if facts.ignored_share is not None:
        err.print(f"pixels to ignore: {ignored_note(facts.ignored_share)}", markup=False)
    if none:
        err.print(f"{' or '.join(none)}: no scene", markup=False, style="dim")


def show_comparison(facts: ComparisonFacts) -> None:
    """Show the models of a comparison, and the difference of each from the first, as tables."""
    from iodine_kit.evaluation.comparison_tables import model_table, pair_tables

    for table in (model_table(facts), *pair_tables(facts)):
        show_table(table)
    _show_omitted(facts.left_out)


def show_probe(facts: ProbeFacts) -> None:
    """Show the prediction of factors and the use of slots as tables, and DCI in a line."""
    from iodine_kit.evaluation.probing.tables import brief_table, dci_line, slot_table

    show_table(brief_table(facts))
    err.print(dci_line(facts), markup=False)
    show_table(slot_table(facts))
    _show_omitted(facts.left_out)


def _show_omitted(reasons: Mapping[str, str]) -> None:
    """Show in one line what was omitted; names with the same reason are together."""
    names: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        names.setdefault(reason, []).append(name)
    if names:
        shown = "; ".join(f"{', '.join(group)} omitted: {reason}" for reason, group in names.items())
        err.print(shown, markup=False, style="dim")


def show_table(table: tables.Table) -> None:
    """Print a table to standard error, below its caption; only columns of words may break their lines."""
    err.print(table.caption, markup=False)
    _print_rows(table)


def show_in_blocks(choices: Sequence[tables.Table]) -> None:
    """Print one of several layouts of a table to standard error: the first that fits, or the one with the fewest lines.

    A table that is wider than the terminal is printed in blocks of some columns, each with the first column. No column
    is broken: one that is wider than the terminal is a block of its own.
    """
    blocks = min((_blocks(one) for one in choices), key=_lines)
    err.print(choices[0].caption, markup=False)
    for block in blocks:
        _print_rows(block)


def _lines(blocks: Sequence[tables.Table]) -> int:
    """Lines of the terminal that the blocks need; 0 for a table that fits as it is."""
    return sum(len(block.rows) + _FRAME for block in blocks) if len(blocks) > 1 else 0


def _blocks(table: tables.Table) -> list[tables.Table]:
    """The table in blocks of columns that fit into the terminal."""
    blocks, start = [], 1
    while start < len(table.heads):
        end = start + 1
        while end < len(table.heads) and _width(_drawn(table.columns(start, end + 1))) <= err.width:
            end += 1
        blocks.append(table.columns(start, end))
        start = end
    return blocks


def _drawn(table: tables.Table) -> Table:
    from iodine_kit.tables import is_text, shown

    drawn = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column, head in enumerate(table.heads):
        words = is_text(table, column)
        firm = not words or column == 0
        drawn.add_column(escape(head), justify="left" if words else "right", no_wrap=firm)
    for row in table.rows:
        drawn.add_row(*(escape(shown(cell)) for cell in row))
    return drawn


def _width(drawn: Table) -> int:
    """Columns of the terminal that a table needs so that no line breaks."""
    return Measurement.get(err, err.options.update(max_width=_WIDEST), drawn).maximum


def _print_rows(table: tables.Table) -> None:
    drawn = _drawn(table)
    # A narrow terminal breaks lines: a number that is cut would be another number.
    Console(file=err.file, width=max(err.width, _width(drawn)), highlight=False).print(drawn)
