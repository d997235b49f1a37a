"""Pipeline files: which stages there are, and their tables, read from TOML and validated before anything runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from iodine_kit.config import Config, Values, build, merge, parse_overrides, read_toml
from iodine_kit.errors import ConfigError, CountError, did_you_mean
from iodine_kit.runner import Stage
from iodine_kit.stages import evaluate, infer, prepare, probe, report, train, traverse
from iodine_kit.system import to_path

FOLDER = Path("pipelines")
STAGES: Mapping[str, Stage] = {
    "dataset": prepare, "run": train, "predictions": infer, "evaluation": evaluate, "probe": probe,
    "traversal": traverse, "report": report,
}  # fmt: skip
"""The stage that makes each role, in order."""
COMMANDS: Mapping[str, str] = {
    "dataset": "prepare", "run": "train", "predictions": "infer", "evaluation": "eval", "probe": "probe",
    "traversal": "traverse", "report": "report",
}  # fmt: skip
"""Role → the command that makes it; ``--until``, ``--only`` and ``--force`` take both names."""
TABLES = ("pipeline", *(table for stage in STAGES.values() for table in stage.TABLES))
MATRIX = "matrix"
"""The table that makes several members of a file; see :mod:`iodine_kit.pipeline.matrix`."""
snapshots: dict[str, dict[str, Values]] = {}
"""Tables of files that another process has read for this one, by the place as the user named it."""
OPTIONAL = {"probe": "probe", "traversal": "traverse"}
"""Roles that are made only if the file has their table, which may be empty."""


class PipelineConfig(Config):
    """The file's ``[pipeline]`` table: ``summary`` says in a line or two what the pipeline is for."""

    summary: str = ""


def load(place: str, settings: Sequence[str] = ()) -> dict[str, Values]:
    """Read a pipeline by path, or by name from ``pipelines/``; ``settings`` override single values.

    Returns:
        the tables of the file; ``matrix`` is among them if the file has one.

    Raises:
        ConfigError: if the file is missing or malformed, or has an unknown table.
    """
    tables = merge({}, snapshots[place]) if place in snapshots else read_toml(_locate(place))
    known = (*TABLES, MATRIX)
    for name, table in tables.items():
        if name not in known:
            raise ConfigError(f"{place}: [{name}] is not a known table{did_you_mean(name, known)}")
        if not isinstance(table, dict):
            raise ConfigError(f"{place}: '{name}' is outside any table")
    build(PipelineConfig, tables.get("pipeline", {}), "pipeline")
    given = parse_overrides(settings, [name for name in TABLES if name != "pipeline"])
    return override(tables, {name: table for name, table in given.items() if table or name not in OPTIONAL.values()})


def override(tables: dict[str, Values], given: Mapping[str, Values]) -> dict[str, Values]:
    """Override the tables of a file by ``given``. A source replaces ``prepare.generate``, and vice versa."""
    asked = given.get("prepare", {})
    for one, other in (("source", "generate"), ("generate", "source")):
        if one in asked and other not in asked:
            tables.get("prepare", {}).pop(other, None)
    return merge(tables, given)


def check(tables: Mapping[str, Values]) -> None:
    """Validate all tables before anything runs: a mistake in the report must not show up after days of training."""
    splits = prepare.configure(tables).splits
    training, _ = train.configure(tables)
    inference, _ = infer.configure(tables)
    evaluate.configure(tables)
    probe.configure(tables)
    traverse.configure(tables)
    report.configure(tables)
    for table, split in {"train": training.split, "infer": inference.split}.items():
        if splits and split not in splits:
            raise CountError(f"{table}.split: the data set will have no split '{split}'{did_you_mean(split, splits)}")


def roles(tables: Mapping[str, Values]) -> list[str]:
    """The roles that the pipeline makes, in order."""
    return [role for role in STAGES if role not in OPTIONAL or OPTIONAL[role] in tables]


def _locate(place: str) -> Path:
    path = to_path(place)
    known = {file.stem: file for file in FOLDER.glob("*.toml")}
    spelling = {name.replace("_", "-"): file for name, file in known.items()}  # names of data sets have hyphens
    named = known.get(place) or spelling.get(place.replace("_", "-"))
    if not path.exists() and named is not None:
        return named
    if not path.exists() and path.suffix != ".toml":
        remedy = did_you_mean(place, known) if known else ": give the path of a file"
        raise ConfigError(f"no pipeline is called '{place}' in the folder {FOLDER}/ of the current directory{remedy}")
    return path
