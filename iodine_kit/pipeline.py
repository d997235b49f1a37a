"""Pipelines: one TOML file per reproducible experiment, from data to report. Up-to-date artifacts are reused."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from iodine_kit.config import Config, Values, build, differences, merge, parse_overrides, read_toml
from iodine_kit.errors import ConfigError, CountError, SourceError, did_you_mean
from iodine_kit.runner import FEW_SETTINGS, Context, Inputs, Job, Stage, find_interrupted, obtain
from iodine_kit.stages import evaluate, infer, prepare, probe, report, train, traverse
from iodine_kit.store import Artifact
from iodine_kit.system import to_path

FOLDER = Path("pipelines")
STAGES: Mapping[str, Stage] = {
    "dataset": prepare, "run": train, "predictions": infer, "evaluation": evaluate, "probe": probe,
    "traversal": traverse, "report": report,
}  # fmt: skip
"""The stage that makes each role, in order."""
TABLES = ("pipeline", *(table for stage in STAGES.values() for table in stage.TABLES))
OPTIONAL = {"probe": "probe", "traversal": "traverse"}
"""Roles that are made only if the file has their table, which may be empty."""
Chain = dict[str, Artifact]


class PipelineConfig(Config):
    """The file's ``[pipeline]`` table: ``summary`` says in a line or two what the pipeline is for."""

    summary: str = ""


@dataclass(frozen=True)
class Planned:
    """A stage of a plan: the role that it makes, its status (``fresh``, ``interrupted``, ``missing``,
    ``stale`` or ``waiting``) and the reason."""

    stage: str
    status: str
    because: str


def load(place: str, settings: Sequence[str] = ()) -> dict[str, Values]:
    """Read a pipeline by path, or by name from ``pipelines/``; ``settings`` override single values.

    Raises:
        ConfigError: if the file is missing or malformed, or has an unknown table.
    """
    tables = read_toml(_locate(place))
    for name, table in tables.items():
        if name not in TABLES:
            raise ConfigError(f"{place}: [{name}] is not a known table{did_you_mean(name, TABLES)}")
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


def run(
    tables: Mapping[str, Values],
    context: Context,
    planning: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> Chain:
    """Bring every artifact of the pipeline up to date; an interrupted training run resumes.

    Args:
        planning: the planning of each stage happens in such a context; the work of the stage does not.
    """
    check(tables)
    chain: Chain = {}
    for role in roles(tables):
        with planning():
            job = _plan(role, tables, chain, context)
        chain[role] = obtain(job, context)
        if role == "dataset":
            _check_masks(tables, chain[role])
    return chain


def _check_masks(tables: Mapping[str, Values], dataset: Artifact) -> None:
    """Refuse stages that need true masks for a split without: this must not show up after days of training."""
    split = infer.configure(tables)[0].split
    evaluate.check_masks(tables, dataset, split)
    if "probe" in roles(tables):
        probe.check_masks(dataset, split)


def plan(tables: Mapping[str, Values], context: Context) -> list[Planned]:
    """List every stage, whether it would run, and why. Runs nothing."""
    check(tables)
    chain: Chain = {}
    planned: list[Planned] = []
    for role in roles(tables):
        if len(chain) < len(planned):
            planned.append(Planned(role, "waiting", f"for {planned[len(chain)].stage}"))
            continue
        try:
            job = _plan(role, tables, chain, replace(context, download=False, overwrite=False))
        except SourceError as error:
            planned.append(Planned(role, "missing", str(error)))
            continue
        artifact = context.store.find(job.identity)
        planned.append(_status(role, job, artifact, context))
        if artifact is not None and planned[-1].status == "fresh":
            chain[role] = artifact
    return planned


def roles(tables: Mapping[str, Values]) -> list[str]:
    """The roles that the pipeline makes, in order."""
    return [role for role in STAGES if role not in OPTIONAL or OPTIONAL[role] in tables]


def _plan(role: str, tables: Mapping[str, Values], chain: Chain, context: Context) -> Job:
    stage = STAGES[role]
    inputs: Inputs = chain if stage is report else {role: chain[role] for role in stage.INPUTS}
    return stage.plan(tables, inputs, context)


def _status(role: str, job: Job, artifact: Artifact | None, context: Context) -> Planned:
    if find_interrupted(job, context):
        return Planned(role, "interrupted", "resumes from its last checkpoint")
    if artifact is not None and context.overwrite:
        return Planned(role, "stale", "it is to be overwritten")
    if artifact is not None:
        return Planned(role, "fresh", str(artifact.path))
    older = [a for a in context.store.artifacts(job.identity.kind) if a.manifest.identity.name == job.identity.name]
    if not older:
        return Planned(role, "missing", "not made yet")
    return _compared(role, job, min(reversed(older), key=lambda one: len(differences(one.config, job.identity.config))))


def _compared(role: str, job: Job, nearest: Artifact) -> Planned:
    """The status beside the most similar artifact of the same name, which may have nothing to do with the pipeline."""
    changed = differences(nearest.config, job.identity.config)
    if not changed:
        return Planned(role, "stale", "its inputs or its code changed")
    if role != "dataset" and len(changed) <= FEW_SETTINGS:
        return Planned(role, "stale", "; ".join(changed))
    more = len(changed) - FEW_SETTINGS
    shown = "; ".join(changed[:FEW_SETTINGS]) + (f"; and {more} more" if more > 0 else "")
    return Planned(role, "missing", f"not made yet; the nearest is {nearest.path} ({shown})")


def _locate(place: str) -> Path:
    path = to_path(place)
    known = {file.stem: file for file in FOLDER.glob("*.toml")}
    spelling = {name.replace("_", "-"): file for name, file in known.items()}  # names of data sets have hyphens
    named = known.get(place) or spelling.get(place.replace("_", "-"))
    if not path.exists() and named is not None:
        return named
    if not path.exists() and path.suffix != ".toml":
        raise ConfigError(f"no pipeline is called '{place}' in {FOLDER}{did_you_mean(place, known)}")
    return path
