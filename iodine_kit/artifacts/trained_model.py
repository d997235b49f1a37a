"""A trained model, wherever its weights lie, and what the identity of an artifact made with it says of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iodine_kit.config import Config, Values, build
from iodine_kit.errors import SchemaError
from iodine_kit.models import MODELS, ModelPlugin
from iodine_kit.pretrained.images import ImageStatistics
from iodine_kit.store import Artifact, Reference, SourceFile, Store
from iodine_kit.training.config import TrainConfig
from iodine_kit.training.run_files import WEIGHTS
from iodine_kit.training.schedule import kl_weight

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class TrainedModel:
    """A model's configuration, and how to read its weights.

    Attributes:
        name: of artifacts that are made with it.
        title: for people, where no run says what it is; "" for a run.
        plugin: of the model; ``config``: its configuration, with β as it was when the weights were what they are.
        tensors: reads the weights.
        inputs: the run, by role. Weights from elsewhere have none; then
        sources: names their file, and ``settings`` is what the identity says of model and weights.
        facts: of weights that no run in the store holds, for the manifest.
        trained_on: the data set that it was trained on, where that is known; ``dataset``: name of those it is for.
        defaults: values of the table ``infer`` that are taken unless others are given.
        images: what it was trained on looks like, where that is known.
    """

    name: str
    plugin: ModelPlugin
    config: Config
    tensors: Callable[[], Mapping[str, Tensor]]
    title: str = ""
    inputs: Mapping[str, Reference] = field(default_factory=dict)
    sources: tuple[SourceFile, ...] = ()
    plugins: Mapping[str, int] = field(default_factory=dict)
    settings: Values = field(default_factory=dict)
    facts: Values = field(default_factory=dict)
    trained_on: Reference | None = None
    dataset: str = ""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    images: ImageStatistics | None = None

    def load(self) -> Any:
        """The model with its weights, on the CPU, for inference only.

        Raises:
            SchemaError: if they are another net's.
        """
        from iodine_kit.training.checkpoint import fill

        model = self.plugin.build(self.config, seed=0)
        fill(model, self.tensors(), self.title or self.name)
        return model.eval().requires_grad_(False)

    def keep(self, out: Path) -> Values:
        """Where no run in the store holds the weights, write a copy beside what was made with them; return facts."""
        from iodine_kit.training.checkpoint import save_weights

        if self.inputs:
            return {}
        save_weights(out / WEIGHTS, self.tensors())
        return {"model": self.title, "weights": self.facts}


def model_of(run: Artifact) -> tuple[ModelPlugin, Config]:
    """The plug-in and the configuration of the model that a run trained."""
    return configured(run.config["model"])


def configured(values: Mapping[str, Any]) -> tuple[ModelPlugin, Config]:
    """The plug-in that ``name`` names, and its configuration from the values beside it."""
    values = dict(values)
    plugin = MODELS.load(values.pop("name"))
    return plugin, build(plugin.Config, values, "model")


def of_run(run: Artifact) -> TrainedModel:
    """The model that a finished run trained."""
    plugin, config = model_of(run)
    step = run.facts.get("weights", {}).get("step")
    return TrainedModel(
        run.manifest.identity.name,
        plugin,
        config if step is None else with_beta(config, run.config.get("train", {}), step),
        partial(_stored, run),
        inputs={"run": run.reference},
        trained_on=run.manifest.identity.inputs.get("dataset"),
        dataset=run.facts.get("dataset", ""),
    )


def load_model(run: Artifact) -> Any:
    """Rebuild a trained model from its run."""
    return of_run(run).load()


def behind(predictions: Artifact, store: Store) -> TrainedModel:
    """The model that made predictions: of their run, or with the copy of its weights that lies beside them.

    Raises:
        SchemaError: if they were imported.
    """
    inputs, settings = predictions.manifest.identity.inputs, predictions.config
    if "run" in inputs:
        return of_run(store.resolve(inputs["run"]))
    if not keeps_weights(predictions):
        raise SchemaError(f"{predictions.path}: imported predictions have no model here that could draw other latents")
    return TrainedModel(
        predictions.manifest.identity.name, *configured(settings["model"]), partial(_stored, predictions)
    )


def _stored(artifact: Artifact) -> Mapping[str, Tensor]:
    """The weights that an artifact holds."""
    from iodine_kit.training.checkpoint import read_weights

    path = artifact.path / WEIGHTS
    return read_weights(path.read_bytes(), path).tensors


def keeps_weights(predictions: Artifact) -> bool:
    """Whether a copy of the model's weights lies beside predictions, because no run in the store holds them."""
    return WEIGHTS in predictions.manifest.files and "model" in predictions.config


def with_beta(config: Config, train: Mapping[str, Any], step: int) -> Config:
    """A model's configuration with the β of step ``step``, counted from 1: the last step that shaped its weights."""
    if train.get("kl_schedule", "constant") == "constant" or "beta" not in type(config).model_fields:
        return config
    beta = kl_weight(build(TrainConfig, train, "train"), max(step - 1, 0), float(getattr(config, "beta")))  # noqa: B009
    return config.model_copy(update={"beta": beta})
