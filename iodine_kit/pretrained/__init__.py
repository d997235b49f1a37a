"""Models that ship with their weights: each folder here, named for it, holds ``weights.safetensors`` and ``card.json``.

    from iodine_kit import pretrained

    pretrained.names()                          # ["tetrominoes", …]
    pretrained.card("tetrominoes").scores       # how good it is, on what, inferred how
    model = pretrained.load("tetrominoes")      # a torch.nn.Module, ready to infer

The environment variable ``IODINE_KIT_PRETRAINED`` names a further folder of such folders, which is looked into first.
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
from iodine_kit.training.run_files import WEIGHTS

__all__ = ["PREFIX", "Card", "card", "load", "names", "weights"]

PREFIX = "pretrained:"
"""What the name of a pretrained model begins with where a run or a file could be named, too."""
VARIABLE = "IODINE_KIT_PRETRAINED"
HERE = Path(__file__).parent


def names() -> list[str]:
    """All pretrained models, sorted."""
    return sorted({path.parent.name for folder in _folders() for path in folder.glob(f"*/{CARD}")})


def card(name: str) -> Card:
    """What a model is, and how it came to be.

    Raises:
        UnknownNameError: with the nearest known name.
        ArtifactCorruptError: if the card cannot be read.
        SchemaError: if this version of the model computes other things with the weights than the card's did.
    """
    found = read_card(_folder(name))
    kind, here = found.model["name"], MODELS.load(found.model["name"]).VERSION
    if found.version != here:
        raise SchemaError(
            f"{PREFIX}{found.name} is of version {found.version} of the model {kind}, and this is version {here}: "
            "install the iodine-kit that it came with"
        )
    return found


def weights(name: str) -> bytes:
    """The bytes of a model's safetensors file.

    Raises:
        UnknownNameError: with the nearest known name.
        ArtifactCorruptError: if they are not those of the card.
    """
    path = _folder(name) / WEIGHTS
    expected = card(name).weights_sha256
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ArtifactCorruptError(f"{path}: cannot be read ({error.strerror}): install iodine-kit again") from None
    if hashlib.sha256(data).hexdigest() != expected:
        raise ArtifactCorruptError(f"{path}: the sha256 is not the one of the card beside it: install iodine-kit again")
    return data


def load(name: str) -> Any:
    """The model with its weights, a ``torch.nn.Module`` for inference on the CPU; see ``iodine_kit.models.Model``.

    Raises:
        UnknownNameError: with the nearest known name.
        ArtifactCorruptError: if its files are damaged.
        SchemaError: if the weights are not those of the card's configuration.
    """
    from iodine_kit.training.checkpoint import fill, read_weights

    values = dict(card(name).model)
    plugin = MODELS.load(values.pop("name"))
    model = plugin.build(build(plugin.Config, values, "model"), seed=0)
    fill(model, read_weights(weights(name), _folder(name) / WEIGHTS).tensors, PREFIX + name.removeprefix(PREFIX))
    return model.eval().requires_grad_(False)


def _folders() -> list[Path]:
    own = os.environ.get(VARIABLE)
    return [*([Path(own)] if own else []), HERE]


def _folder(name: str) -> Path:
    name = name.removeprefix(PREFIX)
    for folder in _folders():
        if name in names() and (folder / name / CARD).is_file():
            return folder / name
    raise UnknownNameError(f"no pretrained model is called '{name}'{did_you_mean(name, names())}")
