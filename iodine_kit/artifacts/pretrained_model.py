"""The model that ``pretrained:NAME`` stands for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from iodine_kit import pretrained
from iodine_kit.artifacts.trained_model import TrainedModel, configured
from iodine_kit.config import named
from iodine_kit.store import SourceFile
from iodine_kit.training.run_files import WEIGHTS

if TYPE_CHECKING:
    from torch import Tensor


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
