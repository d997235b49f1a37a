"""A trained model, wherever its weights are stored, and how identities of artifacts made with it name the weights."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

from iodine_kit import pretrained
from iodine_kit.artifacts.run import RunFacts
from iodine_kit.config import Config, Values, build, named
from iodine_kit.errors import SchemaError
from iodine_kit.models import MODELS, ModelPlugin
from iodine_kit.pretrained.image_profile import ImageStatistics
from iodine_kit.store import Artifact, Reference, SourceFile, Store
from iodine_kit.system import storage_errors
from iodine_kit.training.config import TrainConfig
from iodine_kit.training.run_files import WEIGHTS
from iodine_kit.training.schedule import configured_beta, kl_weight

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class PortableModel:
    """A model that another process can build. It can be pickled, and equal ones are the same model.

    Attributes:
        plugin: module of the plug-in.
        config: the model's configuration as JSON.
        weights: absolute path of the file of the weights.
        content: hash of what the weights come from.
        title: for messages.
    """

    plugin: str
    config: str
    weights: Path
    content: str
    title: str

    def load(self) -> Any:
        """As :meth:`TrainedModel.load`."""
        plugin = cast(ModelPlugin, import_module(self.plugin))
        config = build(plugin.Config, json.loads(self.config), "model")
        return _filled(plugin, config, _read(self.weights), self.title)


@dataclass(frozen=True)
class TrainedModel:
    """A model's configuration, and how to read its weights.

    Attributes:
        name: of the artifacts that are made with it.
        title: name for people, of a model that no run in the store holds; "" for a run.
        plugin: of the model; ``config``: its configuration, with the β of the step at which the weights were taken.
        tensors: reads the weights.
        inputs: the run, by role; empty for weights that no run in the store holds.
        sources: the file of such weights.
        settings: what identities record about the model; ``plugins``: its version.
        facts: of such weights, for the manifest.
        trained_on: the data set that it was trained on, where that is known; ``dataset``: name of the data sets that it
            is for.
        defaults: values of the table ``infer`` that apply unless the user gives others.
        images: statistics of the images that it was trained on, where they are known.
        weights: the file of the weights in the store; ``None`` if no artifact holds them.
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
    weights: Path | None = None

    def load(self) -> Any:
        """Build the model with its weights, on the CPU, for inference only.

        Raises:
            SchemaError: if the weights belong to another network.
        """
        return _filled(self.plugin, self.config, self.tensors(), self.title or self.name)

    def portable(self, out: Path) -> PortableModel:
        """The model for other processes; ``out`` is the directory into which :meth:`keep` copied its weights."""
        content = "".join(one.content for one in self.inputs.values()) + "".join(one.sha256 for one in self.sources)
        config = json.dumps(self.config.model_dump(mode="json"))
        weights, module = (self.weights or out / WEIGHTS).absolute(), cast(ModuleType, self.plugin)
        return PortableModel(module.__name__, config, weights, content, self.title or self.name)

    def keep(self, out: Path) -> Values:
        """Write a copy of weights that no run in the store holds into ``out``; return facts about them."""
        from iodine_kit.training.checkpoint import save_weights

        if self.inputs:
            return {}
        save_weights(out / WEIGHTS, self.tensors())
        return {"model": self.title, "weights": self.facts}


def _filled(plugin: ModelPlugin, config: Config, tensors: Mapping[str, Tensor], title: str) -> Any:
    """A model with these weights, on the CPU, for inference only."""
    from iodine_kit.training.checkpoint import fill

    model = plugin.build(config, seed=0)
    fill(model, tensors, title)
    return model.eval().requires_grad_(False)


def model_of(run: Artifact) -> tuple[ModelPlugin, Config]:
    """Plug-in and configuration of the model that a run trained."""
    return configured(run.config["model"])


def configured(values: Mapping[str, Any]) -> tuple[ModelPlugin, Config]:
    """Plug-in and configuration from the table ``model`` of an artifact, in which ``name`` is the plug-in's."""
    values = dict(values)
    plugin = MODELS.load(values.pop("name"))
    return plugin, build(plugin.Config, values, "model")


def of_run(run: Artifact) -> TrainedModel:
    """The model that a finished run trained."""
    plugin, config = model_of(run)
    facts = RunFacts.of(run)
    step = facts.weights.step
    return TrainedModel(
        run.manifest.identity.name,
        plugin,
        config if step is None else with_beta(config, run.config.get("train", {}), step),
        partial(_read, run.path / WEIGHTS),
        inputs={"run": run.reference},
        trained_on=run.manifest.identity.inputs.get("dataset"),
        dataset=facts.dataset,
        weights=run.path / WEIGHTS,
    )


def load_model(run: Artifact) -> Any:
    """Build the model that a finished run trained, with its weights, on the CPU, for inference only."""
    return of_run(run).load()


def behind(predictions: Artifact, store: Store) -> TrainedModel:
    """The model that made predictions, from their run or from the copy of its weights beside them.

    Raises:
        SchemaError: if the predictions were imported.
    """
    inputs, settings = predictions.manifest.identity.inputs, predictions.config
    if "run" in inputs:
        return of_run(store.resolve(inputs["run"]))
    if not keeps_weights(predictions):
        raise SchemaError(
            f"{predictions.path}: these predictions were imported, so no model is here to decode other latents"
        )
    return TrainedModel(
        predictions.manifest.identity.name, *configured(settings["model"]), partial(_read, predictions.path / WEIGHTS)
    )


def _read(path: Path) -> Mapping[str, Tensor]:
    """The weights in a file of the store."""
    from iodine_kit.training.checkpoint import read_weights

    with storage_errors(path):
        data = path.read_bytes()
    return read_weights(data, path).tensors


def keeps_weights(predictions: Artifact) -> bool:
    """Whether predictions come with a copy of their model's weights, because no run in the store holds them."""
    return WEIGHTS in predictions.manifest.files and "model" in predictions.config


def with_beta(config: Config, train: Mapping[str, Any], step: int) -> Config:
    """A model's configuration with the β of step ``step``, counted from 1: the last step that updated the weights."""
    final = configured_beta(config)
    if train.get("kl_schedule", "constant") == "constant" or final is None:
        return config
    beta = kl_weight(build(TrainConfig, train, "train"), max(step - 1, 0), final)
    return config.model_copy(update={"beta": beta})


def of_pretrained(name: str) -> TrainedModel:
    """A model that ships with its weights. By default it infers as it did for the scores on its card.

    Raises:
        SchemaError: if this version of the model would compute other values with the weights than the card's version.
        UnknownNameError: with the nearest known name.
        ArtifactCorruptError: if its files are damaged.
    """
    data, card = pretrained.weights(name), pretrained.card(name)

    def tensors() -> Mapping[str, Tensor]:
        from iodine_kit.training.checkpoint import read_weights

        return read_weights(data, Path(card.name) / WEIGHTS).tensors

    plugin, config = configured(card.model)
    place = pretrained.PREFIX + card.name
    return TrainedModel(
        f"pretrained-{card.name}",
        plugin,
        config,
        tensors,
        title=place,
        sources=(SourceFile(name=WEIGHTS, sha256=card.weights_sha256, bytes=len(data), location=place),),
        plugins={f"model/{card.model['name']}": plugin.VERSION},
        settings={"model": named(card.model["name"], config)},
        facts={"pretrained": card.name, "sha256": card.weights_sha256},
        defaults=card.inference.model_dump(mode="json"),
        images=card.images,
    )
