"""What a study works with: the stages over a base configuration, and a record of every artifact by its role."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from iodine_kit.artifacts.dataset import require_masks
from iodine_kit.config import Values
from iodine_kit.errors import ConfigError
from iodine_kit.progress import Advance, Reporter, Show
from iodine_kit.runner import Context, Job, Tables, obtain
from iodine_kit.stages import evaluate, infer, prepare, train
from iodine_kit.store import Artifact

METRICS = ("ari", "mse")
"""The metrics that every study computes; most studies are about the first."""

Overrides = Mapping[str, Mapping[str, Any]]
"""Values that replace those of the base configuration, by table and key."""


class QuietReporter:
    """Passes everything on except routine notes: a study would repeat them for each of its many artifacts."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter

    def note(self, text: str, *, routine: bool = False) -> None:
        """Show the sentence unless it is routine."""
        if not routine:
            self._reporter.note(text)

    def track(self, label: str, total: int, done: int = 0) -> AbstractContextManager[Advance]:
        """Show progress, as the reporter does."""
        return self._reporter.track(label, total, done)

    def watch(self, total: int, done: int = 0) -> AbstractContextManager[Show]:
        """Show training, as the reporter does."""
        return self._reporter.watch(total, done)


@dataclass(frozen=True)
class Evaluated:
    """Predictions for one split of a data set, and their evaluation."""

    predictions: Artifact
    evaluation: Artifact
    dataset: Artifact


@dataclass
class Experiment:
    """The stages over a base configuration. Every method reuses an artifact that is up to date.

    Attributes:
        tables: the base pipeline's tables, with the values of the study and of the user applied.
        config: the study's own configuration.
        context: the store where artifacts are looked up and made, and the reporter for notes and progress.
        given_run: an existing trained run to use; ``None`` to train one from the base configuration.
        used: every artifact that the study asked for, by role.
    """

    tables: Tables
    config: Any
    context: Context
    given_run: Artifact | None = None
    used: dict[str, Artifact] = field(default_factory=dict)

    def dataset(self, role: str = "dataset", overrides: Overrides | None = None) -> Artifact:
        """The data set of the base configuration, or a variant of it."""
        return self._obtain(role, prepare.plan(self._tables(overrides), {}, self.context))

    def train(self, dataset: Artifact, role: str = "run", overrides: Overrides | None = None) -> Artifact:
        """A training run on a data set; an interrupted run resumes.

        Raises:
            SchemaError: if the scenes that the run will be evaluated on have no masks.
        """
        self._check_masks(dataset, overrides)
        return self._obtain(role, train.plan(self._tables(overrides), {"dataset": dataset}, self.context))

    def trained(self) -> tuple[Artifact, Artifact]:
        """The run that the study is about, and the data set that it was trained on.

        Raises:
            ConfigError: if the weights of the given run were imported, so that it has no data set.
        """
        if self.given_run is None:
            dataset = self.dataset()
            return self.train(dataset), dataset
        inputs = self.given_run.manifest.identity.inputs
        if "dataset" not in inputs:
            raise ConfigError(
                f"{self.given_run.path}: the weights of this run were imported, so its training data set is unknown; "
                "name a run that was trained here, or a --pipeline"
            )
        dataset = self.context.store.resolve(inputs["dataset"])
        self.used |= {"dataset": dataset, "run": self.given_run}
        return self.given_run, dataset

    def infer(self, run: Artifact, dataset: Artifact, label: str, overrides: Overrides | None = None) -> Artifact:
        """Predictions of a run; ``label`` distinguishes them from the other predictions of the study.

        Raises:
            SchemaError: if the scenes have no masks.
        """
        self._check_masks(dataset, overrides)
        job = infer.plan(self._tables(overrides), {"run": run, "dataset": dataset}, self.context)
        return self._obtain(f"predictions, {label}", job)

    def evaluate(self, run: Artifact, dataset: Artifact, label: str, overrides: Overrides | None = None) -> Evaluated:
        """Predictions of a run and their evaluation by :data:`METRICS`."""
        predictions = self.infer(run, dataset, label, overrides)
        inputs = {"predictions": predictions, "dataset": dataset}
        job = evaluate.plan(self._tables({"eval": {"metrics": METRICS}}), inputs, self.context)
        return Evaluated(predictions, self._obtain(f"evaluation, {label}", job), dataset)

    def generator_options(self, dataset: Artifact, name: str, study: str) -> Values:
        """The options that the generator of the data set was called with.

        Args:
            dataset: must have been generated by the plug-in ``name``.
            name: of the data set plug-in that the study needs.
            study: the study's name, for the error.

        Raises:
            ConfigError: if the data set is another one, or was read from files.
        """
        options: Values = dict(dataset.config["dataset"])
        if options.pop("name") != name or dataset.config.get("origin") != "generated":
            raise ConfigError(
                f"study {study} generates more scenes of '{name}', but {dataset.reference.directory} is another data "
                f"set or was read from files; name a --pipeline that generates '{name}'"
            )
        return options

    def _check_masks(self, dataset: Artifact, overrides: Overrides | None) -> None:
        """Refuse scenes that the study cannot score, before the long work."""
        split = infer.configure(self._tables(overrides))[0].split
        purpose = "every study computes FG-ARI, which needs true masks"
        require_masks(dataset, split, purpose, "name a --pipeline or a --run whose data set has masks")

    def _obtain(self, role: str, job: Job) -> Artifact:
        if self.context.store.find(job.identity) is None:
            self.context.reporter.note(f"making {role}")
        self.used[role] = obtain(job, self.context)
        return self.used[role]

    def _tables(self, overrides: Overrides | None) -> dict[str, Values]:
        overrides = overrides or {}
        names = {*self.tables, *overrides}
        return {name: {**self.tables.get(name, {}), **overrides.get(name, {})} for name in names}
