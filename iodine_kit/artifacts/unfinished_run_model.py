"""The model at a checkpoint of a run that is still training or was interrupted. Only reads, and takes no lock."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from iodine_kit.artifacts.trained_model import TrainedModel, configured, with_beta
from iodine_kit.config import Values, named
from iodine_kit.errors import ArtifactCorruptError, ArtifactNotFoundError, SchemaError
from iodine_kit.progress import Reporter
from iodine_kit.store import Identity, SourceFile, Store
from iodine_kit.store.artifact import draft_identity, find_drafts, open_draft
from iodine_kit.system import to_path
from iodine_kit.training.run_files import CHECKPOINTS, checkpoint_name

LATEST = "latest"


def at_checkpoint(store: Store, place: str, run: str | None, reporter: Reporter) -> TrainedModel:
    """The model at a checkpoint: with the weights that its run would keep if it ended there, and the β of that step.

    Args:
        place: "latest", a step, or the file of a checkpoint.
        run: an unfinished run, by directory or beginning of its key. Defaults to the most recent one with a checkpoint.

    Raises:
        ArtifactNotFoundError: if there is no such run or checkpoint.
        ArtifactCorruptError: if the checkpoint is damaged; with "latest", if all are.
        SchemaError: if the file is not a checkpoint.
    """
    path = to_path(place)
    if path.is_file() and run is None:
        return _model(path, path.read_bytes(), draft_identity(path.parent))
    folder, identity = _draft(store, run)
    for path, data in _read(folder, place):
        try:
            return _model(path, data, identity)
        except ArtifactCorruptError as error:
            if place != LATEST:
                raise
            reporter.note(f"note: {error}; trying an older one")
    raise ArtifactNotFoundError(f"{folder}: {_missing(folder, place)}")


def _draft(store: Store, run: str | None) -> tuple[Path, Identity]:
    if run is not None:
        with suppress(ArtifactNotFoundError):
            return open_draft(store.root, run, "run")
        finished = store.open(run, "run")
        raise ArtifactNotFoundError(f"{finished.path} is finished and has no checkpoints: omit --checkpoint")
    begun = [draft for draft in find_drafts(store.root, "run") if any(draft[0].glob(CHECKPOINTS))]
    if not begun:
        raise ArtifactNotFoundError(
            f"{store.root} holds no unfinished run with a checkpoint: omit --checkpoint to use a finished run"
        )
    return begun[-1]


def _read(folder: Path, place: str) -> Iterator[tuple[Path, bytes]]:
    """Read the named checkpoint, or all, newest first. A run that is still training may delete one meanwhile."""
    for _ in range(3):
        paths = sorted(folder.glob(CHECKPOINTS), reverse=True)
        wanted = checkpoint_name(int(place)) if place.isdecimal() else place
        for path in paths if place == LATEST else [path for path in paths if path.name == wanted]:
            try:
                data = path.read_bytes()
            except FileNotFoundError:
                break
            yield path, data
        else:
            return


def _missing(folder: Path, place: str) -> str:
    """The reason why there is nothing to read."""
    if not folder.is_dir():
        return "this run has finished meanwhile: omit --checkpoint to use the finished run"
    steps = ", ".join(str(_step(path)) for path in sorted(folder.glob(CHECKPOINTS)))
    wanted = "no checkpoint that can be read" if place == LATEST else f"no checkpoint '{place}'"
    present = (
        f"there are checkpoints after steps {steps}" if steps else "there are none yet: see train.checkpoint_every"
    )
    return f"{wanted}; {present}"


def _step(path: Path) -> int:
    return int(path.name.removesuffix(".safetensors").rpartition("-")[2])


def _model(path: Path, data: bytes, identity: Identity | None) -> TrainedModel:
    from iodine_kit.training.checkpoint import read_weights

    weights = read_weights(data, path)
    if weights.step is None:
        raise SchemaError(f"{path}: holds weights, but is not a checkpoint of a run of iodine-kit")
    name = identity.config["model"]["name"] if identity else "iodine"
    plugin, config = configured({"name": name, **weights.settings["model"]})
    assert weights.weights_step is not None
    config = with_beta(config, weights.settings["train"], weights.weights_step)
    facts: Values = {"step": weights.step, "weights_step": weights.weights_step}
    if identity:
        facts = {"run": identity.planned.directory, "run_key": identity.key, **facts}
    source = SourceFile(
        name=path.name, sha256=hashlib.sha256(data).hexdigest(), bytes=len(data), location=str(path)
    )  # fmt: skip
    label = identity.name if identity else name
    return TrainedModel(
        label,
        plugin,
        config,
        lambda: weights.tensors,
        title=f"{label}, checkpoint after step {weights.step:,}",
        sources=(source,),
        plugins={f"model/{name}": plugin.VERSION},
        settings={"model": named(name, config)},
        facts={**facts, "sha256": source.sha256},
        trained_on=identity.inputs.get("dataset") if identity else None,
    )
