"""The card of a pretrained model: ``card.json`` beside its weights says what they are and how they came to be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field, ValidationError

from iodine_kit.config import Config
from iodine_kit.errors import ArtifactCorruptError
from iodine_kit.pretrained.images import ImageStatistics
from iodine_kit.store import SourceFile

CARD = "card.json"
NAME = r"^[a-z0-9][a-z0-9._-]*$"


class Data(Config):
    """What it was trained on: the data set's name, key, protocol and whole configuration, and its raw files."""

    dataset: str
    key: str
    protocol: str | None = None
    config: dict[str, Any]
    sources: tuple[SourceFile, ...] = ()


class Phase(Config):
    """One training run; a warm start continues from the phase before.

    Attributes:
        run: directory of the run in its store; ``key``: in full.
        model: configuration of the model, whose K, T and β may change from phase to phase.
        train: configuration of the training, its seed included.
        started_from: the file that it started from, if that is no phase of this card.
        images: seen, ``steps`` times the batch size.
        seconds: about, from the mean time of a step; ``None`` if that was not measured.
        commit: of the code, or its release.
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
    """How its first scores were inferred, which is what ``infer`` does unless told otherwise."""

    slots: int | None = None
    steps: int | None = None
    restarts: int = 1
    batch_size: int = 32


class Metric(Config):
    """Mean over ``n`` scenes with its interval at the level of its :class:`Scores`; undefined scenes are left out."""

    title: str
    mean: float | None
    interval: tuple[float, float] | None
    n: int
    undefined: int
    unit: str = ""
    convention: str = ""


class Scores(Config):
    """An evaluation: of which scenes, inferred how, with which noise (``seed``), and what came of it."""

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
        model: configuration of the model with its plug-in's ``name``; ``version``: of the plug-in.
        parameters: trained numbers.
        weights_sha256, weights_bytes: of the file beside the card.
        inference: defaults at test time.
        images: what it was trained on looks like, to tell when other images do not.
        training: phases, first to last.
        scores: evaluations, the one whose settings are the defaults first.
        remake: the shell command that makes it again.
        software: versions it was made with.
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
    """Read the card in a folder; raises :class:`ArtifactCorruptError` if it is damaged or not that model's."""
    path = folder / CARD
    try:
        card = Card.model_validate(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError) as error:
        reason = f"{error.error_count()} fields do not fit" if isinstance(error, ValidationError) else error
        raise ArtifactCorruptError(f"{path}: not a card that this version can read ({reason})") from None
    if card.name != folder.name:
        raise ArtifactCorruptError(f"{path}: the card is of '{card.name}', and its folder is called '{folder.name}'")
    return card


def card_text(card: Card) -> str:
    """The card as JSON, the same for the same card."""
    values = card.model_dump(mode="json", by_alias=True)
    return json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
