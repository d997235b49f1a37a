"""From a study's name and the base's tables to an artifact of kind ``study``."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from iodine_kit import pipeline as pipelines
from iodine_kit.config import Values, build, merge, parse_overrides
from iodine_kit.errors import ConfigError
from iodine_kit.progress import Reporter
from iodine_kit.reporting.lineage import lineage_of
from iodine_kit.reporting.study_page import Made, StudyPage
from iodine_kit.runner import Facts, Job, obtain
from iodine_kit.store import Artifact, Identity, Store
from iodine_kit.studies import STUDIES, StudyPlugin
from iodine_kit.studies._experiment import Bench, Brief
from iodine_kit.studies._findings import Findings
from iodine_kit.studies._writing import as_text, write

VERSION = 1
TABLE = "study"
DEFAULT_PIPELINE = "quickstart"


def study(
    name: str,
    store: Store,
    reporter: Reporter,
    *,
    pipeline: str | None = None,
    run: str | None = None,
    settings: Sequence[str] = (),
    overwrite: bool = False,
) -> Artifact:
    """Conduct a study, or return the one that is up to date.

    Args:
        pipeline: file or name of the base; left out, ``quickstart`` where the study trains, or no run is at hand.
        run: a trained run, for a study that needs no more.

    Raises:
        ConfigError: if a run is named for a study that trains its own, or both are.
    """
    plugin = STUDIES.load(name)
    given = _given(name, plugin, store, pipeline, run)
    if given and not run:
        reporter.note(f"using run {given.path}")
    base = {} if given else _base(name, pipeline, store)
    tables = _tables(plugin, base, settings)
    config = build(plugin.Config, tables.pop(TABLE, {}), TABLE)
    bench = Bench(tables, config, store, Brief(reporter), given)
    look = plugin.conduct(bench)
    identity = Identity(
        kind="study",
        name=name,
        stage="study",
        version=VERSION,
        plugins={f"study/{name}": plugin.VERSION},
        config={"study": config.model_dump(mode="json")},
        inputs={role: artifact.reference for role, artifact in bench.used.items()},
    )
    told = ["--run", given.reference.directory] if given else ["--pipeline", pipeline or DEFAULT_PIPELINE]
    options = [part for setting in settings for part in ("--set", setting)]
    command = shlex.join(["iodine-kit", "study", name, *told, *options])

    def make(out: Path) -> Facts:
        findings = look()
        page = _page(name, plugin, findings, bench.used, identity.config["study"], command)
        record = {
            "study": name,
            "question": plugin.QUESTION,
            "command": command,
            "config": identity.config["study"],
            "inputs": {role: artifact.reference.directory for role, artifact in bench.used.items()},
        }
        write(out, page, findings, record)
        return {"seen": list(findings.seen), "artifacts": len(bench.used), "seconds": round(page.seconds, 1)}

    return obtain(store, Job(identity, make), reporter, overwrite=overwrite)


def _given(name: str, plugin: StudyPlugin, store: Store, pipeline: str | None, run: str | None) -> Artifact | None:
    """The run that was named, or the newest where neither a run nor a pipeline was."""
    if run and pipeline:
        raise ConfigError(
            "--run and --pipeline exclude each other: a study takes a trained run or trains the pipeline's"
        )
    if run and not plugin.TAKES_RUN:
        raise ConfigError(f"study {name} trains runs of its own: leave --run out, and name a --pipeline if need be")
    if run:
        return store.usable(store.open(run, "run"))
    own = [found for found in store.artifacts("run") if "dataset" in found.manifest.identity.inputs]
    at_hand = plugin.TAKES_RUN and not pipeline and own
    return store.usable(own[-1]) if at_hand else None


def _base(name: str, pipeline: str | None, store: Store) -> Mapping[str, Values]:
    """The pipeline that was named, or the default one, which only a checkout has."""
    try:
        return pipelines.load(pipeline or DEFAULT_PIPELINE)
    except ConfigError:
        if pipeline or (pipelines.FOLDER / f"{DEFAULT_PIPELINE}.toml").exists():
            raise
        raise ConfigError(
            f"study {name} has nothing to start from: there is no {pipelines.FOLDER}/{DEFAULT_PIPELINE}.toml here and "
            f"no fitting run in {store.root}: name a --pipeline FILE, or for a study of one run train it first"
        ) from None


def _tables(plugin: StudyPlugin, base: Mapping[str, Values], settings: Sequence[str]) -> dict[str, Values]:
    """The base's tables, the study's values over them, and the user's over both."""
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
        seen=findings.seen,
        method=findings.method,
        tables=[as_text(table) for table in findings.tables],
        plots=[plotted for plotted in findings.plots if plotted],
        picture=findings.picture,
        settings=[(key, _setting(value)) for key, value in config.items()],
        inputs=[_made(role, artifact) for role, artifact in used.items()],
        command=command,
    )


def _setting(value: Any) -> str:
    return ", ".join(map(str, value)) or "left to the study" if isinstance(value, list) else str(value)


def _made(role: str, artifact: Artifact) -> Made:
    facts = dict(lineage_of(role, artifact).facts)
    made = artifact.manifest.made
    reference = artifact.reference
    return Made(role, reference.directory, reference.key, str(made["finished"]), float(made["seconds"]), facts["code"])
