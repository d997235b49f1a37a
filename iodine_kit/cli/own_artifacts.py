"""How commands with --pipeline choose their inputs: what the pipeline itself makes, if the store has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from iodine_kit.progress import Reporter
    from iodine_kit.store import Artifact, Store


def own_artifact(store: Store, kind: str, pipeline: str | None, reporter: Reporter) -> Artifact | None:
    """The artifact that a pipeline file makes; of a matrix, that of the first member whose artifact the store has."""
    if pipeline is None or not store.root.is_dir():
        return None
    from iodine_kit.pipeline import load
    from iodine_kit.pipeline.own_artifacts import own_artifacts

    own = next((one for one in own_artifacts(load(pipeline), kind, store) if one.artifact), None)
    if own is None or own.artifact is None:
        return None
    artifact = store.usable(own.artifact)
    reporter.note(f"using {kind} {artifact.path}" + (f" (member {own.member})" if own.member else ""))
    return artifact


def own_draft(store: Store, pipeline: str | None) -> str | None:
    """The key of the unfinished run that a pipeline file began; ``None`` if there is none."""
    if pipeline is None or not store.root.is_dir():
        return None
    from iodine_kit.pipeline import load
    from iodine_kit.pipeline.own_artifacts import own_artifacts
    from iodine_kit.store.artifact import find_drafts

    begun = {identity.key for _, identity in find_drafts(store.root, "run")}
    return next(
        (one.identity.key for one in own_artifacts(load(pipeline), "run", store) if one.identity.key in begun), None
    )


def note_difference(store: Store, artifact: Artifact, pipeline: str, reporter: Reporter) -> None:
    """Say that an artifact is not the one that the pipeline file makes, and name the first setting that differs."""
    from iodine_kit.pipeline import load
    from iodine_kit.pipeline.own_artifacts import first_difference

    tables = load(pipeline)
    difference = first_difference(tables, artifact, store) if "prepare" in tables else None
    if difference is None:
        return
    kind = artifact.reference.kind.replace("dataset", "data set")
    verb = "these are" if kind == "predictions" else "this is"
    setting, _, values = difference.partition(": ")
    why = f"{setting}: {values.replace(' -> ', ' instead of ')}" if values else "its inputs or its code differ"
    reporter.note(f"note: {verb} not the {kind} that {pipeline} makes ({why})")
