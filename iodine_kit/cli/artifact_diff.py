"""The command that compares two artifacts: diff."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from iodine_kit.cli.options import ARTIFACT_HELP, DEFAULT_STORE, StoreOption, store_at
from iodine_kit.process import print_json, print_text

if TYPE_CHECKING:
    from iodine_kit.store.differences import Differences


def diff(
    first: Annotated[str, typer.Argument(metavar="A", help=ARTIFACT_HELP)],
    second: Annotated[str, typer.Argument(metavar="B", help="The artifact to compare it with.")],
    store: StoreOption = DEFAULT_STORE,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Compare two artifacts: configuration, code, inputs, facts, metrics and files.

    The exit status is 0 whether they differ or not. 'iodine-kit compare' compares evaluations scene by scene.
    """
    from iodine_kit.store.differences import compare

    shelf = store_at(store)
    one, other = shelf.open(first), shelf.open(second)
    found = compare(one, other)
    same_content = one.manifest.content == other.manifest.content
    if as_json:
        lists = {name: value for name, value in found._asdict().items() if value and name != "metrics"}
        metrics = {name: metric._asdict() for name, metric in found.metrics.items()}
        shown = {**lists, **({"metrics": metrics} if metrics else {})}
        print_json({"first": str(one.path), "second": str(other.path), "same_content": same_content, **shown})
        return
    print_text(f"A  {one.path}\nB  {other.path}")
    if same_content:
        print_text("\nthe content is the same: all files but logs are equal")
    _print(found)


def _print(found: Differences) -> None:
    from iodine_kit.formatting import number

    for title in ("config", "code", "inputs", "facts", "files"):
        lines = getattr(found, title)
        if lines:
            print_text(f"\n{title}")
        for line in lines:
            print_text(f"  {line}")
    if found.metrics:
        width = max(len(metric.title) for metric in found.metrics.values())
        print_text(f"\n{'metrics':<{width + 2}}  {'A':>12}  {'B':>12}  {'B − A':>12}")
        for metric in found.metrics.values():
            values = (metric.first, metric.second, metric.difference)
            shown = "  ".join(f"{'–' if value is None else number(value):>12}" for value in values)
            print_text(f"  {metric.title:<{width}}  {shown}")
