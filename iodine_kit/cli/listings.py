"""What the commands on data sets print: rows for JSON, and tables for the terminal."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from iodine_kit.cli.console import err
from iodine_kit.errors import UnknownNameError
from iodine_kit.formatting import percent
from iodine_kit.registry import PluginT, Registry

if TYPE_CHECKING:
    from iodine_kit.artifacts.summaries import SplitSummary, StatisticsFacts

Rows = Sequence[Mapping[str, Any]]


def datasets() -> list[dict[str, Any]]:
    """Every data set: name, summary, whether it can be generated or downloaded, and its layouts."""
    from iodine_kit.datasets import DATASETS
    from iodine_kit.layouts import LAYOUTS

    layouts = {name: layout.DATASETS for name, layout in working(LAYOUTS)}
    return [
        {
            "name": name,
            "summary": plugin.SUMMARY,
            "generator": plugin.generate is not None,
            "download": bool(plugin.urls(plugin.Config())),
            "layouts": [layout for layout, holds in layouts.items() if not holds or name in holds],
        }
        for name, plugin in working(DATASETS)
    ]


def formats() -> list[dict[str, str]]:
    """Every storage format, with the first sentence of its docstring."""
    from iodine_kit.formats import FORMATS

    return [{"name": name, "summary": _first_paragraph(plugin.__doc__)} for name, plugin in working(FORMATS)]


def working(registry: Registry[PluginT]) -> list[tuple[str, PluginT]]:
    """Every plug-in that can be imported; a note names each third-party plug-in that cannot."""
    found = []
    for name in registry.names():
        try:
            found.append((name, registry.load(name)))
        except UnknownNameError as error:
            err.print(f"omitted: {error}", markup=False, style="dim")
    return found


def _first_paragraph(text: str | None) -> str:
    """A docstring's first paragraph as plain text."""
    return " ".join((text or "").strip().split("\n\n")[0].replace("``", "").split())


def protocols(name: str | None) -> list[dict[str, Any]]:
    """Every protocol, or the one named, with its rules by data set."""
    from iodine_kit.protocols import PROTOCOLS

    found = [(name, PROTOCOLS.load(name))] if name else working(PROTOCOLS)
    return [
        {
            "name": one,
            "version": plugin.VERSION,
            "summary": plugin.SUMMARY,
            "source": plugin.SOURCE,
            "rules": {
                dataset: {
                    "summary": rule.summary,
                    "splits": rule.splits.describe(),
                    "preprocess": dict(rule.preprocess),
                    "expected": dict(rule.expected),
                }
                for dataset, rule in plugin.RULES.items()
            },
        }
        for one, plugin in found
    ]


def show_datasets(found: Rows, formats: Rows) -> None:
    """A table of data sets, and one of formats."""
    table = _table("data set", "what", "from", "layouts")
    for row in found:
        origins = ["generator"] * row["generator"] + ["download"] * row["download"]
        table.add_row(row["name"], row["summary"], "\n".join(origins or ["your files"]), "\n".join(row["layouts"]))
    _console().print(table)
    table = _table("format", "what")
    for row in formats:
        table.add_row(row["name"], row["summary"])
    _console().print(table)


def show_protocols(found: Rows) -> None:
    """A row for every data set of every protocol."""
    table = _table("protocol", "data set", "rule", "expected")
    for row in found:
        names = [row["name"], *[""] * len(row["rules"])]
        for name, (dataset, rule) in zip(names, row["rules"].items(), strict=False):
            table.add_row(name, dataset, rule["summary"], _counts(rule["expected"]))
        table.add_section()
    _console().print(table)


def show_protocol(protocol: Mapping[str, Any]) -> None:
    """One protocol in full."""
    console = _console()
    console.print(f"{protocol['name']}: {protocol['summary']}\nsource: {protocol['source']}")
    for dataset, rule in protocol["rules"].items():
        table = _table(dataset, "")
        table.add_row("rule", rule["summary"])
        table.add_row("preprocess", _words(rule["preprocess"]) or "the data set's defaults")
        table.add_row("expected", _counts(rule["expected"]))
        console.print(table)


def show_statistics(facts: StatisticsFacts) -> None:
    """The most important counts of every split, on standard error."""
    heads = ("split", "scenes", "objects per scene", "without", "median px", "background", "repeated")
    table = Table(*(heads[:1]))
    for head in heads[1:]:
        table.add_column(head, justify="right")
    for name, split in facts.splits.items():
        table.add_row(*_counts_of(name, split))
    if len(facts.splits) > 1:
        table.add_section()
        table.add_row(*_counts_of("all", facts.all))
    err.print(table)
    if facts.all.ignored_share is not None:
        share = percent(facts.all.ignored_share)
        err.print(f"{share} of the pixels are ignored: they count as neither object nor background", markup=False)
    leaking = facts.images_in_several_splits
    if leaking:
        err.print(f"{leaking:,} images occur in more than one split: see the page", markup=False, style="bold")


def _counts_of(name: str, split: SplitSummary) -> tuple[str, ...]:
    return (
        name,
        f"{split.scenes:,}",
        "–" if split.objects_mean is None else f"{split.objects_mean:.2f} ± {_or_dash(split.objects_std, '.2f')}",
        _or_dash(split.without_objects, ","),
        _or_dash(split.median_pixels, ",.0f"),
        _or_dash(split.background_share, ".1%").replace("%", " %"),
        f"{split.repeated_images:,}",
    )


def _or_dash(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def _table(*heads: str) -> Table:
    """A table; only columns of sentences may break their lines."""
    table = Table(show_lines=True)
    for head in heads:
        table.add_column(head, no_wrap=head not in ("what", "rule", ""))
    return table


def _console() -> Console:
    return Console(file=sys.stdout, highlight=False, markup=False)


def _counts(counts: Mapping[str, int]) -> str:
    return "\n".join(f"{split} {count:,}" for split, count in counts.items()) or "–"


def _words(values: Mapping[str, Any]) -> str:
    """``"crop iodine, size 128"``."""
    return ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in values.items())
