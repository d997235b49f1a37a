"""The card of a pretrained model, ``card.json``: what its weights are, how they were trained, and its scores."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field, ValidationError

from iodine_kit.config import Config
from iodine_kit.errors import ArtifactCorruptError
from iodine_kit.pretrained.image_profile import ImageStatistics
from iodine_kit.store import SourceFile
from iodine_kit.system import refusal

CARD = "card.json"
NAME = r"^[a-z0-9][a-z0-9._-]*$"


class Data(Config):
    """The training data: name, key, protocol and complete configuration of the data set, and its source files."""

    dataset: str
    key: str
    protocol: str | None = None
    config: dict[str, Any]
    sources: tuple[SourceFile, ...] = ()


class Phase(Config):
    """One training run; a later phase starts from the weights of the one before.

    Attributes:
        run: directory of the run in its store.
        key: complete key of the run.
        model: configuration of the model, whose K, T and β can change from phase to phase.
        train: configuration of the training, with its seed.
        started_from: the file that it started from, if that is not a phase of this card.
        images: number of images seen, ``steps`` times the batch size.
        seconds: approximate duration, from the mean time of a step; ``None`` if that was not measured.
        commit: commit of the code, or its release.
    """

    run: str
    key: str
    model: dict[str, Any]
    train: dict[str, Any]
    started_from: tuple[SourceFile, ...] = ()
    steps: int
    images: int
    seconds: float | None
    device: str
    threads: int | None = None
    commit: str
    finished: str


class Inference(Config):
    """Inference settings of the first scores, which are the defaults of ``infer``."""

    slots: int | None = None
    steps: int | None = None
    restarts: int = 1
    batch_size: int = 32


class Metric(Config):
    """Mean over ``n`` scenes, with its interval at the level of its :class:`Scores`; undefined scenes are omitted."""

    title: str
    mean: float | None
    interval: tuple[float, float] | None
    n: int
    undefined: int
    unit: str = ""
    convention: str = ""


class Scores(Config):
    """An evaluation: its scenes, its inference settings with the ``seed`` of the noise, and its metrics."""

    dataset: str
    dataset_key: str
    dataset_config: dict[str, Any]
    split: str
    scenes: int
    slots: int | None
    steps: int | None
    restarts: int
    seed: int
    level: float
    metrics: dict[str, Metric]


class Card(Config):
    """Everything about a pretrained model.

    Attributes:
        model: configuration of the model, with the ``name`` of its plug-in.
        version: version of the plug-in.
        parameters: number of trained parameters.
        weights_sha256, weights_bytes: hash and size of the weights file.
        inference: default settings at test time.
        images: statistics of the training images, to detect other kinds of images.
        training: phases, first to last.
        scores: evaluations; the first one has the default settings.
        remake: the shell command that rebuilds the model.
        software: versions of the packages it was trained with.
    """

    model_config = ConfigDict(populate_by_name=True)

    schema_: Literal["iodine-kit/pretrained/1"] = Field(default="iodine-kit/pretrained/1", alias="schema")
    name: str = Field(pattern=NAME)
    summary: str
    licence: str
    model: dict[str, Any]
    version: int
    parameters: int
    weights_sha256: str
    weights_bytes: int
    inference: Inference
    data: Data
    images: ImageStatistics
    training: tuple[Phase, ...]
    scores: tuple[Scores, ...]
    remake: str
    software: dict[str, str | None] = {}


def read_card(folder: Path) -> Card:
    """Read the card in a folder; raises :class:`ArtifactCorruptError` if it is damaged or has another name."""
    path = folder / CARD
    try:
        card = Card.model_validate(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError) as error:
        if not isinstance(error, FileNotFoundError) and (refused := refusal(error, path)):
            raise refused from None
        reason = f"{error.error_count()} invalid fields" if isinstance(error, ValidationError) else error
        raise ArtifactCorruptError(f"{path}: not a card that this version can read ({reason})") from None
    if card.name != folder.name:
        raise ArtifactCorruptError(f"{path}: the card has the name '{card.name}', but its folder is '{folder.name}'")
    return card


def card_text(card: Card) -> str:
    """The card as JSON; equal cards give equal text."""
    values = card.model_dump(mode="json", by_alias=True)
    return json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
