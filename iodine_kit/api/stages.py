"""The stages as functions: prepare data, train, infer, and run a whole pipeline. Each returns artifacts of the store.

An artifact that is up to date is reused. An interrupted call resumes when it is repeated. Notes and the training log go
to the logger ``iodine_kit``; ``logging.basicConfig(level="INFO")`` shows them. A terminal shows bars of progress.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from iodine_kit import pipeline as pipelines
from iodine_kit.api.arguments import Place, argument, find, in_python, open_store, python_messages, to_tables
from iodine_kit.api.dataset import Dataset
from iodine_kit.api.model import SegmentationModel, find_model
from iodine_kit.artifacts.trained_model import TrainedModel
from iodine_kit.config import merge
from iodine_kit.errors import SourceError
from iodine_kit.progress import Advance, Show, Silent
from iodine_kit.runner import Context, Job, obtain
from iodine_kit.stages import infer as infer_stage
from iodine_kit.stages import prepare as prepare_stage
from iodine_kit.stages import train as train_stage
from iodine_kit.store import Artifact, Store

Settings = Mapping[str, Any]
"""Configuration: ``{"train.steps": 50}``, or ``{"train": {"steps": 50}}``."""
_LOG = logging.getLogger("iodine_kit")


def prepare(
    dataset: str,
    *,
    generate: int | None = None,
    source: str | Path | Sequence[str | Path] = (),
    split: Mapping[str, int] | None = None,
    settings: Settings | None = None,
    store: str | Path | None = None,
    overwrite: bool = False,
) -> Artifact:
    """Make a data set from published files, your own images, or a generator.

    Several processes (``settings={"prepare.workers": 4}``) start by importing the main module. So a script that uses
    them must call this function below ``if __name__ == "__main__":``. A notebook needs no such line.

    Args:
        dataset: name, such as ``tetrominoes``, ``clevr``, or ``folder`` for your own images.
        generate: number of scenes to generate; without it, published files are read.
        source: published files: paths, folders, patterns or addresses. Defaults to the public address of the data set.
        split: number of scenes per split. Defaults to 80 %, 10 % and 10 % of generated scenes, or to the published
            splits.
        settings: further configuration, such as ``{"dataset.cell": 2}``; ``iodine-kit config prepare`` lists all keys.
        store: directory of all artifacts. Defaults to ``IODINE_KIT_STORE``, or else ``data``.
        overwrite: rebuild even if the data set is up to date.

    Returns:
        The artifact: ``.path`` is its directory, ``.facts["splits"]`` its number of scenes per split.

    Raises:
        ValueError: for a wrong argument; the message names it.
        IodineKitError: if the work fails, for example at a damaged file.

    >>> artifact = prepare("tetrominoes", generate=10, settings={"dataset.cell": 2})
    >>> artifact.facts["splits"]
    {'train': 8, 'val': 1, 'test': 1}
    """
    sources = [source] if isinstance(source, str | Path) else list(source)
    given = {"dataset": dataset, "generate": generate, "source": [str(one) for one in sources] or None, "split": split}
    tables = to_tables(settings, prepare_stage.TABLES)
    merge(tables, {"prepare": {key: value for key, value in given.items() if value is not None}})
    context = _context(open_store(store), overwrite)
    with argument("source", SourceError), argument():
        prepare_stage.configure(tables)
    # Of an address, an error can also mean that it cannot be reached.
    local = generate is not None or (sources and not any("://" in str(one) for one in sources))
    with argument("source" if sources else "", SourceError) if local else nullcontext(), argument():
        job = prepare_stage.plan(tables, {}, context)
    return _obtain(job, context)


def train(
    dataset: Place | Dataset,
    settings: Settings | None = None,
    *,
    store: str | Path | None = None,
    overwrite: bool = False,
) -> Artifact:
    """Train a model on a data set, on this machine, in one process.

    Args:
        dataset: as for :func:`iodine_kit.load_dataset`, or what that returned.
        settings: configuration, such as ``{"train.steps": 50, "model.slots": 5}``; ``iodine-kit config train`` lists
            all keys.
        store: directory of all artifacts, also of the data set. Defaults to that of the data set.
        overwrite: train again even if the run is up to date or was interrupted.

    Returns:
        The run: ``load_model(run)`` loads its model, ``.facts`` holds steps, device and speed.

    Raises:
        ValueError: for a wrong argument or setting; the message names it.
        DivergedError: if the loss or a gradient is not finite.

    >>> data = prepare("tetrominoes", generate=8, split={"train": 8}, settings={"dataset.cell": 1})
    >>> small = {"model.decoder.channels": [4], "model.refinement.channels": [4], "model.steps": 1}
    >>> run = train(data, {"train.steps": 2, "train.batch_size": 2, "train.device": "cpu", **small})
    >>> run.facts["steps"], (run.path / "weights.safetensors").is_file()
    (2, True)
    """
    tables = to_tables(settings, train_stage.TABLES)
    data = _dataset(dataset, store)
    context = _context(open_store(store) if store else Store.of(data), overwrite)
    _check_inside("dataset", Store.of(data), context.store)
    with argument():
        job = train_stage.plan(tables, {"dataset": data}, context)
    return _obtain(job, context)


def infer(
    model: Place | SegmentationModel,
    dataset: Place | Dataset | None = None,
    settings: Settings | None = None,
    *,
    store: str | Path | None = None,
    overwrite: bool = False,
) -> Artifact:
    """Segment a split of a data set and store the predictions, which ``eval``, ``compare`` and ``report`` read.

    To segment arrays instead, use ``load_model(…).segment(…)``.

    Args:
        model: as for :func:`iodine_kit.load_model`, or what that returned.
        dataset: as for :func:`iodine_kit.load_dataset`, or what that returned, whose split is then the default.
            Defaults to the data set that the model was trained on.
        settings: configuration, such as ``{"infer.steps": 8}``; ``iodine-kit config infer`` lists all keys.
        store: directory of all artifacts, also of the run and the data set. Defaults to that of the data set.
        overwrite: infer again even if the predictions are up to date.

    Returns:
        The predictions; ``.path`` is the directory with ``predictions.h5``.

    Raises:
        ValueError: for a wrong argument or setting; the message names it.
        DivergedError: if the loss of a scene is not finite.

    >>> data = prepare("tetrominoes", generate=2, split={"test": 2})
    >>> infer("pretrained:tetrominoes", data, {"infer.restarts": 1, "infer.device": "cpu"}).facts["scenes"]
    2
    """
    tables = to_tables(settings, infer_stage.TABLES)
    if isinstance(model, SegmentationModel):
        trained, home = model.trained, model.store
    else:
        trained, home = find_model("model", model, store)
    data = _trained_on(trained, home) if dataset is None else _dataset(dataset, store)
    if isinstance(dataset, Dataset):
        tables = merge({"infer": {"split": dataset.split}}, tables)
    context = _context(open_store(store) if store else Store.of(data), overwrite)
    _check_inside("dataset", Store.of(data), context.store)
    if trained.inputs and home:
        _check_inside("model", home, context.store)
    with argument():
        job = infer_stage.plan(tables, {"dataset": data}, context, trained)
    return _obtain(job, context)


def run(
    pipeline: str | Path,
    settings: Settings | None = None,
    *,
    store: str | Path | None = None,
    overwrite: bool = False,
) -> dict[str, Artifact]:
    """Bring everything that a pipeline file describes up to date, from data to report.

    Args:
        pipeline: a TOML file, or its name in the folder ``pipelines``, such as ``"quickstart"``.
        settings: configuration that replaces values of the file, such as ``{"train.steps": 50}``.
        store: directory of all artifacts. Defaults to ``IODINE_KIT_STORE``, or else ``data``.
        overwrite: rebuild everything.

    Returns:
        The artifacts by role: ``dataset``, ``run``, ``predictions``, ``evaluation``, ``report`` …

    Raises:
        ValueError: for a wrong argument or setting; the message names it.
        IodineKitError: if a stage fails.

    >>> from pathlib import Path
    >>> _ = Path("tiny.toml").write_text('[prepare]\\ndataset = "tetrominoes"\\ngenerate = 20\\n')
    >>> tiny = {"dataset.cell": 2, "train.batch_size": 2, "train.device": "cpu", "model.steps": 1}
    >>> chain = run("tiny.toml", {"train.steps": 1, **tiny})
    >>> sorted(chain)
    ['dataset', 'evaluation', 'predictions', 'report', 'run']
    """
    given = to_tables(settings, [table for table in pipelines.TABLES if table != "pipeline"])
    with argument("pipeline"):
        tables = pipelines.load(str(pipeline))
        pipelines.refuse_matrix(tables, "run it with 'iodine-kit run', or use a file without this table")
    tables = pipelines.override(tables, given)
    with argument():
        pipelines.check(tables)
    with python_messages():
        return pipelines.run(tables, _context(open_store(store), overwrite), planning=argument)


def _dataset(dataset: Place | Dataset, store: str | Path | None) -> Artifact:
    return dataset.artifact if isinstance(dataset, Dataset) else find("dataset", dataset, "dataset", store)


def _trained_on(trained: TrainedModel, home: Store | None) -> Artifact:
    """The data set that a model was trained on, from the store of its run."""
    if trained.trained_on is None or home is None:
        raise ValueError("dataset: name a data set; it is not known which one this model was trained on")
    with argument("dataset"):
        return home.resolve(trained.trained_on)


def _check_inside(name: str, home: Store, store: Store) -> None:
    """An artifact names its inputs by their place in its own store."""
    if home.root.resolve() != store.root.resolve():
        raise ValueError(
            f"{name}: it is in the store {home.root}, but the result would be in {store.root}: use one store for both"
        )


def _obtain(job: Job, context: Context) -> Artifact:
    with python_messages():
        return obtain(job, context)


def _context(store: Store, overwrite: bool) -> Context:
    return Context(store, _Logged(), overwrite)


class _Logged(Silent):
    """Sends notes and rows of the training log to the logger ``iodine_kit``; a terminal shows bars of progress."""

    def note(self, text: str, *, routine: bool = False) -> None:
        level = logging.WARNING if text.startswith("note:") else logging.DEBUG if routine else logging.INFO
        _LOG.log(level, in_python(text))

    @contextmanager
    def track(self, label: str, total: int, done: int = 0) -> Iterator[Advance]:
        from rich.console import Console
        from rich.progress import Progress

        console = Console(stderr=True)
        with Progress(console=console, disable=not console.is_terminal, transient=True) as progress:
            task = progress.add_task(label, total=total or None, completed=done)
            yield lambda count, **fields: progress.advance(task, count)

    @contextmanager
    def watch(self, total: int, done: int = 0) -> Iterator[Show]:
        yield lambda step, row: _LOG.info("step %s of %s: loss %.6g", step, total, row.get("loss", float("nan")))
