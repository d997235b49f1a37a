"""Say what ``prepare`` would find in a file or folder, without preparing it: the layout, the data set, the splits."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from iodine_kit.artifacts.published_sources import refuse_artifact
from iodine_kit.config import Config, build, split_table
from iodine_kit.datasets import DATASETS
from iodine_kit.errors import SchemaError, SourceError
from iodine_kit.formatting import byte_size, counted
from iodine_kit.layouts import LAYOUTS, Expected, LayoutPlugin, survey
from iodine_kit.runner import Tables
from iodine_kit.stages.prepare.config import PrepareConfig, PrepareExecution
from iodine_kit.stages.prepare.plan import expected_of, recognised

_PICTURES = "folder"
Fit = tuple[Expected, Mapping[str, Any]]


@dataclass(frozen=True)
class Inspection:
    """What a path holds.

    Attributes:
        lines: sentences for people.
        facts: the same for programs, in JSON's types.
    """

    lines: tuple[str, ...]
    facts: Mapping[str, Any]


def inspect(path: Path, tables: Tables) -> Inspection:
    """Find out what a path holds; few records are read, and splits are counted only if this needs no reading.

    Args:
        path: a file or folder.
        tables: the tables ``layout`` and ``prepare`` of the configuration; of the latter, ``layout`` counts.

    Raises:
        SourceError: nothing is there, or no layout recognises it, or it is an artifact; the message says what is there.
        SchemaError: names allow two readings, as in ``prepare``.
    """
    if not path.exists():
        raise SourceError(f"{path}: no such file or folder; check the path")
    refuse_artifact(path)
    values, _ = split_table({"dataset": "", **tables.get("prepare", {})}, [PrepareConfig, PrepareExecution], "prepare")
    name = build(PrepareConfig, values, "prepare").layout or _recognised(path, tables.get("layout", {}))
    layout = LAYOUTS.load(name)
    config = build(layout.Config, tables.get("layout", {}), "layout")
    found = survey(layout, [path], config)
    size = sum(file.stat().st_size for file in found.files)
    fits, problem = _data_set(layout, path, config)
    facts: dict[str, Any] = {"path": str(path), "layout": name, "files": len(found.files), "bytes": size}
    lines = [
        f"layout: {name} ({layout.SUMMARY})",
        f"{counted(len(found.files), 'file')}, {byte_size(size)}",
        *found.lines,
    ]
    facts |= found.facts
    if fits:
        expected, options = fits
        facts |= {"dataset": expected.dataset} | ({"options": dict(options)} if options else {})
        if getattr(layout, "READS_NAMES", False):
            splits = Counter(item.split for item in layout.items([path], expected, config) if item.split)
            facts |= {"splits": dict(splits)} if splits else {}
            lines += [f"splits {', '.join(f'{split} {count:,}' for split, count in splits.items())}"] if splits else []
        command = ["iodine-kit", "prepare", expected.dataset, "--source", str(path)]
        for table, chosen in {"dataset": options, "layout": tables.get("layout", {})}.items():
            command += [part for key, value in chosen.items() for part in ("--set", f"{table}.{key}={value}")]
        lines.append(f"prepare it with: {shlex.join(command)}")
    else:
        facts["problem"] = problem
        lines.append(f"its records are of no data set of this layout ({', '.join(layout.DATASETS)}): {problem}")
    return Inspection(tuple(lines), facts)


def _recognised(path: Path, values: Mapping[str, Any]) -> str:
    """The layout of a path; a folder that no layout recognises is read, or refused, as a folder of pictures."""
    if name := recognised(path, LAYOUTS.names()):
        return name
    if path.is_dir():
        pictures = LAYOUTS.load(_PICTURES)
        survey(pictures, [path], build(pictures.Config, values, "layout"))  # refuses it as prepare folder does
        return _PICTURES
    needed = "; ".join(f"{name}: {LAYOUTS.load(name).SUMMARY}" for name in LAYOUTS.names())
    raise SourceError(f"{path}: no layout recognises it; what can be read: {needed}")


def _data_set(
    layout: LayoutPlugin, path: Path, config: Config
) -> tuple[tuple[Expected, Mapping[str, Any]] | None, str]:
    """The first data set, with its options, whose records these are; or else why they are of none."""
    problem = ""
    possible = [(name, one) for name in layout.DATASETS or DATASETS.built_in() for one in _variants(name)]
    for dataset, options in possible:
        expected = expected_of(dataset, build(DATASETS.load(dataset).Config, options, "dataset"), published=True)
        if len(possible) == 1:
            return (expected, options), ""
        try:
            item = next(iter(layout.items([path], expected, config)), None)
            if item is not None:
                layout.scenes(item, item.key or "0", expected, config)
                return (expected, options), ""
        except (SchemaError, SourceError) as error:
            problem = problem or str(error)
    return None, problem or "there are no records"


def _variants(dataset: str) -> Iterator[dict[str, Any]]:
    """Every combination of the options that say which of several published files a data set has."""
    plugin = DATASETS.load(dataset)
    fields = {key: plugin.Config.model_fields[key].annotation for key in plugin.PUBLISHED_KEYS}
    choices = {key: get_args(kind) for key, kind in fields.items() if get_origin(kind) is Literal}
    for values in product(*choices.values()):
        yield dict(zip(choices, values, strict=True))
