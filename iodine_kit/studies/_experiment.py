"""What a study works with: the stages over a base configuration, every artifact remembered by its role."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from iodine_kit.artifacts.trained_model import of_run
from iodine_kit.config import Config, Values
from iodine_kit.errors import ConfigError
from iodine_kit.progress import Advance, Reporter, Show
from iodine_kit.runner import Job, Tables, obtain
from iodine_kit.stages import evaluate, infer, prepare, train
from iodine_kit.store import Artifact, Store

_SAID_OFTEN = ("up to date: ", "note: ")


class Brief:
    """Passes everything on but what an artifact that is there, or the same configuration again, has to say."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter

    def note(self, text: str) -> None:
        if not text.startswith(_SAID_OFTEN):
            self._reporter.note(text)

    def track(self, label: str, total: int, done: int = 0) -> AbstractContextManager[Advance]:
        return self._reporter.track(label, total, done)

    def watch(self, total: int, done: int = 0) -> AbstractContextManager[Show]:
        return self._reporter.watch(total, done)


METRICS = ("ari", "mse")
"""What studies look at: the first is the one that most of them are about."""

Over = Mapping[str, Mapping[str, Any]]
"""Values that are laid over the base's, by table and key."""


@dataclass
class Bench:
    """The stages over a base configuration.

    Attributes:
        tables: of the base, with the study's and the user's values over them.
        config: the study's own.
        given: a trained run that was named or found; else the base's is trained.
        used: every artifact that was asked for, by role.
    """

    tables: Tables
    config: Any
    store: Store
    reporter: Reporter
    given: Artifact | None = None
    used: dict[str, Artifact] = field(default_factory=dict)

    def dataset(self, role: str = "dataset", over: Over | None = None) -> Artifact:
        """The base's data set, or another one."""
        return self._obtain(role, prepare.plan(self._laid(over), self.store, self.reporter))

    def train(self, dataset: Artifact, role: str = "run", over: Over | None = None) -> Artifact:
        """A run; an interrupted one goes on."""
        return self._obtain(role, train.plan(self._laid(over), dataset, self.reporter))

    def trained(self) -> tuple[Artifact, Artifact]:
        """The run that the study is about and the data set it was trained on."""
        if self.given is None:
            dataset = self.dataset()
            return self.train(dataset), dataset
        inputs = self.given.manifest.identity.inputs
        if "dataset" not in inputs:
            raise ConfigError(
                f"{self.given.path}: its weights were imported, so there is no data set that it was trained on: name "
                "a run that was trained here, or a --pipeline"
            )
        dataset = self.store.resolve(inputs["dataset"])
        self.used |= {"dataset": dataset, "run": self.given}
        return self.given, dataset

    def infer(self, run: Artifact, dataset: Artifact, label: str, over: Over | None = None) -> Artifact:
        """Predictions; the role is told apart by ``label``."""
        return self._obtain(f"predictions, {label}", infer.plan(self._laid(over), of_run(run), dataset, self.reporter))

    def score(self, run: Artifact, dataset: Artifact, label: str, over: Over | None = None) -> Scored:
        """Predictions and how good they are."""
        predictions = self.infer(run, dataset, label, over)
        tables = self._laid({"eval": {"metrics": METRICS}})
        job = evaluate.plan(tables, predictions, dataset, self.reporter)
        return Scored(predictions, self._obtain(f"evaluation, {label}", job), dataset)

    def require(self, dataset: Artifact, name: str, study: str) -> Values:
        """The options that a data set was generated with; raises :class:`ConfigError` if it is not of this kind."""
        options: Values = dict(dataset.config["dataset"])
        if options.pop("name") != name or dataset.config.get("origin") != "generated":
            raise ConfigError(
                f"study {study} needs scenes that the generator of '{name}' can draw more of, and "
                f"{dataset.reference.directory} is another data set or was read from files: name a fitting --pipeline"
            )
        return options

    def _obtain(self, role: str, job: Job) -> Artifact:
        if self.store.find(job.identity) is None:
            self.reporter.note(f"making {role}")
        self.used[role] = obtain(self.store, job, self.reporter, resume="auto")
        return self.used[role]

    def _laid(self, over: Over | None) -> dict[str, Values]:
        over = over or {}
        return {table: {**self.tables.get(table, {}), **over.get(table, {})} for table in {*self.tables, *over}}


@dataclass(frozen=True)
class Scored:
    """Predictions for a data set's split and their evaluation."""

    predictions: Artifact
    evaluation: Artifact
    dataset: Artifact


class NoSettings(Config):
    """For a study without any."""
