"""What the command prints: results to standard output, everything else to standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from iodine_kit.progress import Advance, Show
from iodine_kit.store import Artifact

err = Console(stderr=True, highlight=False, soft_wrap=True)


class Terminal:
    """Reports to standard error; bars only where somebody sees them."""

    def note(self, text: str) -> None:
        err.print(text, markup=False, style="dim")

    @contextmanager
    def track(self, label: str, total: int, done: int = 0) -> Iterator[Advance]:
        columns = [
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[shown]}"),
            TimeElapsedColumn(), TextColumn("ETA"), TimeRemainingColumn(),
        ]  # fmt: skip
        with Progress(*columns, console=err, disable=not err.is_terminal, transient=True) as progress:
            task = progress.add_task(label, total=total or None, completed=done, shown="")

            def advance(count: int, **fields: object) -> None:
                progress.advance(task, count)
                if fields:
                    progress.update(task, shown="  ".join(f"{name} {value}" for name, value in fields.items()))

            yield advance

    def watch(self, total: int, done: int = 0) -> AbstractContextManager[Show]:
        from iodine_kit.cli.dashboard import watching

        return watching(err, total, done)


def emit(artifact: Artifact, as_json: bool, **facts: Any) -> None:
    """Print the artifact's path, or one JSON object with it."""
    text = json.dumps({"artifact": str(artifact.path), **facts}, ensure_ascii=False) if as_json else str(artifact.path)
    sys.stdout.write(text + "\n")


def show_metrics(facts: Mapping[str, Any]) -> None:
    """Show the summary of an evaluation as a table."""
    height, width = facts["resolution"]
    where = f"{facts['dataset']} {facts['split']}, {facts['scenes']} scenes at {height}×{width}"
    chosen = f", best ELBO of {facts['restarts']}" if facts["restarts"] > 1 else ""
    err.print(f"{where}, K={facts['slots']}, T={facts['steps']}{chosen}", markup=False)
    table = Table()
    for name in ("metric", "mean", "sd", "median", "n", "undefined"):
        table.add_column(name, justify="left" if name == "metric" else "right")
    for metric in facts["metrics"].values():
        numbers = ["–" if metric[key] is None else f"{metric[key]:.4f}" for key in ("mean", "std", "median")]
        table.add_row(metric["title"], *numbers, str(metric["n"]), str(metric["undefined"]))
    err.print(table)
