"""Conduct a study: from its name and the base tables to an artifact of kind ``study``."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from iodine_kit import pipeline as pipelines
from iodine_kit.addresses import redacted
from iodine_kit.artifacts.summaries import StudyFacts
from iodine_kit.config import Values, build, merge, parse_overrides
from iodine_kit.errors import ConfigError
from iodine_kit.progress import Reporter
from iodine_kit.reporting.lineage import lineage_of
from iodine_kit.reporting.study_page import StudyInput, StudyPage
from iodine_kit.runner import Context, FactValues, Job, obtain
from iodine_kit.store import Artifact, Identity, Store
from iodine_kit.studies import STUDIES, StudyPlugin
from iodine_kit.studies._experiment import Experiment, QuietReporter
from iodine_kit.studies._findings import Findings
from iodine_kit.studies._writing import as_text, write

VERSION = 1
TABLE = "study"
DEFAULT_PIPELINE = "quickstart"


def conduct_study(
    name: str,
    store: Store,
    reporter: Reporter,
    *,
    pipeline: str | None,
    run: str | None,
    settings: Sequence[str],
    overwrite: bool,
) -> Artifact:
    """See :func:`iodine_kit.studies.study`."""
    plugin = STUDIES.load(name)
    given_run = _given_run(name, plugin, store, pipeline, run)
    if given_run and not run:
        reporter.note(f"using run {given_run.path}")
    base = {} if given_run else _base(name, pipeline, store)
    tables = _tables(plugin, base, settings)
    config = build(plugin.Config, tables.pop(TABLE, {}), TABLE)
    context = Context(store, QuietReporter(reporter), purpose=f"study {name}")
    experiment = Experiment(tables, config, context, given_run)
    analyse = plugin.conduct(experiment)
    identity = Identity(
        kind="study",
        name=name,
        stage="study",
        version=VERSION,
        plugins={f"study/{name}": plugin.VERSION},
        config={"study": config.model_dump(mode="json")},
        inputs={role: artifact.reference for role, artifact in experiment.used.items()},
    )
    command = _command(name, given_run, pipeline, settings)

    def make(out: Path) -> FactValues:
        findings = analyse()
        page = _page(name, plugin, findings, experiment.used, identity.config["study"], command)
        record = {
            "study": name,
            "question": plugin.QUESTION,
            "command": command,
            "config": identity.config["study"],
            "inputs": {role: artifact.reference.directory for role, artifact in experiment.used.items()},
        }
        write(out, page, findings, record)
        observations, seconds = list(findings.observations), round(page.seconds, 1)
        return StudyFacts(seen=observations, artifacts=len(experiment.used), seconds=seconds).model_dump(mode="json")

    return obtain(Job(identity, make), Context(store, reporter, overwrite=overwrite))


def _command(name: str, given_run: Artifact | None, pipeline: str | None, settings: Sequence[str]) -> str:
    """The shell command that conducts the same study."""
    base = ["--run", given_run.reference.directory] if given_run else ["--pipeline", pipeline or DEFAULT_PIPELINE]
    options = [part for setting in settings for part in ("--set", redacted(setting))]
    return shlex.join(["iodine-kit", "study", name, *base, *options])


def _given_run(name: str, plugin: StudyPlugin, store: Store, pipeline: str | None, run: str | None) -> Artifact | None:
    """The run that was named; else, if the study can use one and no pipeline was named, the newest run of the user."""
    if run and pipeline:
        raise ConfigError("--run and --pipeline exclude each other: name a trained run or a pipeline to train")
    if run and not plugin.TAKES_RUN:
        raise ConfigError(f"study {name} trains its own runs: omit --run, or name a --pipeline instead")
    if run:
        return store.usable(store.open(run, "run"))
    if pipeline or not plugin.TAKES_RUN:
        return None
    runs = [one for one in store.artifacts("run") if "dataset" in one.manifest.identity.inputs and not one.purpose]
    return store.usable(runs[-1]) if runs else None


def _base(name: str, pipeline: str | None, store: Store) -> Mapping[str, Values]:
    """Tables of the pipeline that was named, or of the default pipeline, which exists only in a checkout."""
    try:
        return pipelines.load(pipeline or DEFAULT_PIPELINE)
    except ConfigError:
        if pipeline or (pipelines.FOLDER / f"{DEFAULT_PIPELINE}.toml").exists():
            raise
        raise ConfigError(
            f"study {name} has no base: {pipelines.FOLDER}/{DEFAULT_PIPELINE}.toml does not exist here and "
            f"{store.root} has no suitable run; name a --pipeline FILE, or train a run first if the study takes one"
        ) from None


def _tables(plugin: StudyPlugin, base: Mapping[str, Values], settings: Sequence[str]) -> dict[str, Values]:
    """The base's tables with the study's values applied, then the user's."""
    known = [TABLE, *(name for name in pipelines.TABLES if name not in ("pipeline", "report"))]
    tables: dict[str, Any] = {name: dict(base.get(name, {})) for name in known}
    merge(tables, plugin.BASE)
    return pipelines.override(tables, parse_overrides(settings, known))


def _page(
    name: str,
    plugin: StudyPlugin,
    findings: Findings,
    used: Mapping[str, Artifact],
    config: Mapping[str, Any],
    command: str,
) -> StudyPage:
    return StudyPage(
        name=name,
        summary=plugin.SUMMARY,
        question=plugin.QUESTION,
        observations=findings.observations,
        method=findings.method,
        tables=[as_text(table) for table in findings.tables],
        plots=[plot for plot in findings.plots if plot],
        picture=findings.picture,
        settings=[(key, _setting(value)) for key, value in config.items()],
        inputs=[_input(role, artifact) for role, artifact in used.items()],
        command=command,
    )


def _setting(value: Any) -> str:
    return ", ".join(map(str, value)) or "default of the study" if isinstance(value, list) else str(value)


def _input(role: str, artifact: Artifact) -> StudyInput:
    reference, made = artifact.reference, artifact.manifest.made
    return StudyInput(
        role=role,
        directory=reference.directory,
        key=reference.key,
        finished=str(made.get("finished", "?")),
        seconds=float(made.get("seconds", 0)),
        code=dict(lineage_of(role, artifact).facts)["code"],
    )
