"""Builds the context of a report from the artifacts that it is about."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iodine_kit.artifacts.dataset import dataset_info, lack_of_masks
from iodine_kit.artifacts.evaluations import evaluation_facts, probe_facts, read_scenes, read_scores
from iodine_kit.artifacts.predictions_and_truth import PredictionsFacts, paired
from iodine_kit.artifacts.run import result_rows
from iodine_kit.artifacts.trained_model import keeps_weights
from iodine_kit.artifacts.traversals_file import read_traversals
from iodine_kit.config import Config, flatten
from iodine_kit.errors import UnknownNameError
from iodine_kit.evaluation.facts import ComparisonFacts, MetricFacts, ModelFacts
from iodine_kit.evaluation.tables import ignored_note
from iodine_kit.metrics import METRICS
from iodine_kit.predictions.file import PREDICTIONS, PredictionReader
from iodine_kit.records import Bytes, Floats64, PredictionBatch, SceneBatch
from iodine_kit.reporting.context import LineageItem, MetricSummary, ReportContext, SceneView, Traversal
from iodine_kit.reporting.lineage import lineage_of
from iodine_kit.stages.report.compared import OTHER, Chain, Compared, compared_evaluations
from iodine_kit.store import Artifact, Store
from iodine_kit.training.run_files import METRICS as LOG
from iodine_kit.training.run_files import read_metrics

_OPTIONS = {"probe": "--probe", "traversal": "--traversal"}
_GROUPS = {None: "Segmentation", "reconstruction": "Image"}
_MOST_FACTS = 24


def build_context(config: Any, chain: Chain, store: Store) -> ReportContext:
    """Collect everything the page may show; ``config`` is the stage's, ``store`` has the runs of other evaluations."""
    evaluation, predictions, run = chain["evaluation"], chain["predictions"], chain.get("run")
    facts, scores = evaluation_facts(evaluation), read_scores(evaluation)
    if "truth" not in evaluation.manifest.identity.inputs and lack_of_masks(chain["dataset"], facts.split):
        facts = facts.model_copy(update={"unmasked": True})  # older releases did not record it
    elbo = PredictionReader(predictions.path / PREDICTIONS).column("elbo")
    bootstrap = facts.bootstrap
    compared, comparison = compared_evaluations(chain, store)
    return ReportContext(
        title=config.title or PredictionsFacts.of(predictions).model or "IODINE",
        summary=config.summary,
        dataset=facts.dataset,
        split=facts.split,
        resolution=facts.resolution,
        slots=facts.slots,
        steps=facts.steps or 0,
        restarts=facts.restarts,
        metrics={name: _metric(name, one, scores, config.published) for name, one in facts.metrics.items()},
        scenes=list(_scenes(config.scenes, chain, compared[1:], scores, facts.unmasked)),
        training=read_metrics(run.path / LOG) if run else [],
        training_facts=result_rows(run) if run else [],
        elbo_by_step=[] if elbo is None else elbo.mean(0, dtype=np.float64).tolist(),
        lineage=list(_lineage_of_all(chain, compared)),
        command=_command(config, chain),
        total=facts.scenes,
        model=_model(predictions),
        rules=[
            *([("True masks", facts.remark)] if facts.remark else []),
            *([] if facts.ignored_share is None else [("Pixels to ignore", ignored_note(facts.ignored_share))]),
            *([] if facts.unmasked else [("Resizing", facts.resize)]),
            ("Intervals", f"{bootstrap.method}; {bootstrap.resamples:,} resamples, seed {bootstrap.seed}"),
        ],
        level=bootstrap.level,
        groups=facts.groups,
        objects=facts.objects,
        worst=facts.worst,
        best=facts.best,
        elbo=None if elbo is None else elbo[:, -1].astype(np.float64),
        comparison=comparison,
        evaluations=[one.name for one in compared if one.name],
        seeds=_over_seeds(comparison, evaluation),
        probe=probe_facts(chain["probe"]) if "probe" in chain else None,
        traversals=list(_traversals(chain["traversal"])) if "traversal" in chain else [],
        most_bytes=round(config.most_megabytes * 1e6),
    )


def _over_seeds(comparison: ComparisonFacts | None, evaluation: Artifact) -> ModelFacts | None:
    """The model of an evaluation in the comparison, if it has several seeds."""
    models = comparison.models if comparison else []
    directory = evaluation.reference.directory
    return next((one for one in models if directory in one.evaluations and len(one.seeds) > 1), None)


def _model(predictions: Artifact) -> str:
    """The model's title where no run says it; "" otherwise."""
    title = PredictionsFacts.of(predictions).model
    return title if not title or keeps_weights(predictions) else f"{title}, imported"


def _command(config: Config, chain: Chain) -> str:
    """The shell command that rebuilds this page. JSON's spelling of a value is valid TOML, too."""
    leaves = flatten(config.model_dump(exclude_defaults=True))
    settings = [f"report.{name}={json.dumps(value, ensure_ascii=False)}" for name, value in leaves.items()]
    parts = ["iodine-kit", "report"]
    for role, artifact in chain.items():
        option = "--evaluation" if role == "evaluation" or role.startswith(OTHER) else _OPTIONS.get(role)
        parts += [option, artifact.reference.directory] if option else []
    return shlex.join([*parts, *(part for setting in settings for part in ("--set", setting))])


def _metric(
    name: str, facts: MetricFacts, scores: Mapping[str, Floats64], published: Mapping[str, str]
) -> MetricSummary:
    def number(value: float | None) -> float:
        return float("nan") if value is None else value

    return MetricSummary(
        title=facts.title,
        convention=facts.convention,
        mean=number(facts.mean),
        std=number(facts.std),
        median=number(facts.median),
        n=facts.n,
        undefined=facts.undefined,
        scores=scores[name],
        published=published.get(name, ""),
        by_step=facts.by_step,
        unit=facts.unit,
        better=facts.better,
        interval=facts.interval,
        degenerate=facts.degenerate,
        group=_group(name),
    )


def _group(name: str) -> str:
    try:
        return _GROUPS.get(METRICS.load(name).NEEDS, "Likelihood")
    except UnknownNameError:  # a metric of another package that is not installed here
        return _GROUPS[None]


def _scenes(
    count: int, chain: Chain, compared: Sequence[Compared], scores: Mapping[str, Floats64], unmasked: bool
) -> Iterator[SceneView]:
    """The first scenes with all that was predicted for them, also by the other evaluations that are ``compared``."""
    table = read_scenes(chain["evaluation"])
    objects = table["objects"].to_numpy() if "objects" in table and not unmasked else None
    others = list(_others(chain, compared, next(iter(scores))))
    ignored = dataset_info(chain["dataset"]).ignored
    place = 0
    for truth, prediction in paired(chain["predictions"], chain["dataset"]):
        for row in range(len(truth)):
            if place >= count:
                return
            own = {name: float(values[place]) for name, values in scores.items()}
            theirs = [
                (name, reader.batch(place, place + 1, ("mask",)).mask[0], float(values[place]))
                for name, reader, values in others
            ]
            view = _view(truth, prediction, row, own, None if objects is None else int(objects[place]), theirs)
            yield view if ignored is None else replace(view, ignored=ignored)
            place += 1


def _others(
    chain: Chain, compared: Sequence[Compared], metric: str
) -> Iterator[tuple[str, PredictionReader, NDArray[np.float64]]]:
    """Name, predictions and a metric's scores of every other evaluation whose masks have the same size."""
    size = PredictionReader(chain["predictions"].path / PREDICTIONS).batch(0, 1, ("mask",)).mask.shape
    for one in compared:
        reader = PredictionReader(one.chain["predictions"].path / PREDICTIONS)
        scores = read_scores(one.chain["evaluation"])
        if reader.batch(0, 1, ("mask",)).mask.shape == size:
            yield one.name, reader, scores.get(metric, np.full(len(reader), np.nan))


def _view(
    truth: SceneBatch,
    prediction: PredictionBatch,
    row: int,
    scores: Mapping[str, float],
    objects: int | None,
    others: list[tuple[str, Bytes, float]],
) -> SceneView:
    def pick(values: Any) -> Any:
        return None if values is None else values[row]

    steps = prediction.mask[row][None] if prediction.step_mask is None else prediction.step_mask[row]
    return SceneView(
        key=truth.keys[row],
        scores=scores,
        image=truth.image[row],
        true_mask=truth.mask[row] if truth.has_masks else None,
        step_mask=steps,
        soft_mask=pick(prediction.soft_mask),
        component=pick(prediction.component),
        reconstruction=pick(prediction.reconstruction),
        objects=objects,
        others=others,
    )


def _traversals(traversal: Artifact) -> Iterator[Traversal]:
    moved = read_traversals(traversal.path)
    for row, key in enumerate(moved.keys):
        yield Traversal(
            key=key,
            slot=int(moved.slot[row]),
            image=moved.image[row],
            dimension=moved.dimension,
            offset=moved.offset,
            component=moved.component[row],
            blend=moved.blend[row],
        )


def _lineage_of_all(chain: Chain, compared: Sequence[Compared]) -> Iterator[LineageItem]:
    """The artifacts from the data set to each evaluation, then the others; an artifact that is shared is there once."""
    yield _lineage("dataset", chain["dataset"])
    names: dict[tuple[str, str], list[str]] = {}
    artifacts: dict[tuple[str, str], Artifact] = {}
    for one in compared:
        for role, artifact in one.chain.items():
            names.setdefault((role, artifact.manifest.key), []).append(one.name)
            artifacts.setdefault((role, artifact.manifest.key), artifact)
    for (role, key), shared in names.items():
        of = "" if len(shared) == len(compared) else f" of {'; '.join(shared)}"
        yield _lineage(f"{role}{of}", artifacts[role, key])
    yield from (_lineage(role, chain[role]) for role in ("comparison", "probe", "traversal") if role in chain)


def _lineage(role: str, artifact: Artifact) -> LineageItem:
    """An artifact of the chain, with those of its facts that are numbers or words, unless they are many."""
    facts = [(k, str(v)) for k, v in flatten(artifact.manifest.facts).items() if isinstance(v, int | float | str)]
    return lineage_of(role, artifact, facts if len(facts) <= _MOST_FACTS else [])
