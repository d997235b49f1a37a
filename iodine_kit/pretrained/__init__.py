"""Pretrained models: each folder here is one model, with ``weights.safetensors`` and ``card.json``.

    from iodine_kit import pretrained

    pretrained.names()                          # ["tetrominoes", …]
    pretrained.card("tetrominoes").scores       # its evaluations: data, inference settings, metrics
    model = pretrained.load("tetrominoes")      # a torch.nn.Module, ready for inference

The environment variable ``IODINE_KIT_PRETRAINED`` names another folder of models, which is searched first.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

from iodine_kit.config import build
from iodine_kit.errors import ArtifactCorruptError, SchemaError, UnknownNameError, did_you_mean
from iodine_kit.models import MODELS
from iodine_kit.pretrained.card import CARD, Card, read_card
from iodine_kit.system import storage_error, to_path
from iodine_kit.training.run_files import WEIGHTS

__all__ = ["PREFIX", "Card", "card", "load", "names", "weights"]

PREFIX = "pretrained:"
"""Prefix of the name of a pretrained model where a run or a file is also allowed."""
VARIABLE = "IODINE_KIT_PRETRAINED"
HERE = Path(__file__).parent


def names() -> list[str]:
    """Names of all pretrained models, sorted."""
    return sorted({path.parent.name for folder in _folders() for path in folder.glob(f"*/{CARD}")})


def card(name: str) -> Card:
    """The card of a model: what it is, and how it was trained.

    Raises:
        UnknownNameError: if there is no such model; suggests the nearest name.
        ArtifactCorruptError: if the card cannot be read.
        SchemaError: if the installed version of the model would compute something else with the weights.
    """
    stored = read_card(_folder(name))
    kind, installed = stored.model["name"], MODELS.load(stored.model["name"]).VERSION
    if stored.version != installed:
        raise SchemaError(
            f"{PREFIX}{stored.name} needs version {stored.version} of the model {kind}, but version {installed} is "
            "installed: install the version of iodine-kit that it was released with"
        )
    return stored


def weights(name: str) -> bytes:
    """The bytes of a model's safetensors file.

    Raises:
        UnknownNameError: if there is no such model; suggests the nearest name.
        ArtifactCorruptError: if the bytes do not match the hash on the card.
    """
    path = _folder(name) / WEIGHTS
    expected = card(name).weights_sha256
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise ArtifactCorruptError(f"{path}: is missing: reinstall iodine-kit") from None
    except OSError as error:
        raise storage_error(error, path) from None
    if hashlib.sha256(data).hexdigest() != expected:
        raise ArtifactCorruptError(f"{path}: the sha256 differs from the one on its card: reinstall iodine-kit")
    return data


def load(name: str) -> Any:
    """Load a model with its weights: a ``torch.nn.Module`` for inference on the CPU, see ``iodine_kit.models.Model``.

    Raises:
        UnknownNameError: if there is no such model; suggests the nearest name.
        ArtifactCorruptError: if its files are damaged.
        SchemaError: if the weights do not fit the configuration on the card.
    """
    from iodine_kit.training.checkpoint import fill, read_weights

    values = dict(card(name).model)
    plugin = MODELS.load(values.pop("name"))
    model = plugin.build(build(plugin.Config, values, "model"), seed=0)
    fill(model, read_weights(weights(name), _folder(name) / WEIGHTS).tensors, PREFIX + name.removeprefix(PREFIX))
    return model.eval().requires_grad_(False)


def _folders() -> list[Path]:
    own = os.environ.get(VARIABLE)
    return [*([to_path(own)] if own else []), HERE]


def _folder(name: str) -> Path:
    name = name.removeprefix(PREFIX)
    for folder in _folders():
        if name in names() and (folder / name / CARD).is_file():
            return folder / name
    raise UnknownNameError(f"no pretrained model is called '{name}'{did_you_mean(name, names())}")
