"""Scenes of DeepMind's five data sets as named arrays, independent of the layout."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fakes import Array, Bytes, draw, kinds, rows, visible

SPRITES = {"binarized": 4, "colored_on_grayscale": 6, "colored_on_colored": 5}
ROOMS = {"train": 7, "empty_room": 4, "identical_color": 10, "six_objects": 10}
Sample = tuple[Bytes, Bytes, dict[str, Array]]


def entities(dataset: str, config: dict[str, Any]) -> int:
    """Largest number of entities of a record, including the background."""
    several = {"multi-dsprites": SPRITES, "objects-room": ROOMS}
    if dataset in several:
        return several[dataset][next(iter(config.values()))]
    return {"clevr": 11, "tetrominoes": 4, "cater": 11}[dataset]


def sample(dataset: str, config: dict[str, Any], rng: np.random.Generator) -> Sample:
    """An image ``[H, W, C]``, its index mask ``[H, W]`` and its factors ``[K, …]``, in the published sizes."""
    makers: dict[str, Callable[[np.random.Generator, int, dict[str, Any]], Sample]] = {
        "clevr": _clevr, "tetrominoes": _tetrominoes, "multi-dsprites": _sprites, "objects-room": _room
    }  # fmt: skip
    return makers[dataset](rng, entities(dataset, config), config)


def _clevr(rng: np.random.Generator, room: int, config: dict[str, Any]) -> Sample:
    objects = int(rng.integers(3, room))
    factors: dict[str, Array] = {name: rows(rng, objects, room) for name in ("x", "y", "z", "rotation")}
    factors |= {"pixel_coords": rows(rng, objects, room, 3), "visibility": visible(objects, room)}
    for name, count in (("size", 2), ("material", 2), ("shape", 3), ("color", 8)):
        factors[name] = kinds(rng, objects, room, count)
    return *draw(rng, (240, 320), objects), factors


def _tetrominoes(rng: np.random.Generator, room: int, config: dict[str, Any]) -> Sample:
    factors = {name: rows(rng, 3, room).round(2) for name in ("x", "y")}
    factors |= {"color": np.ceil(rows(rng, 3, room, 3) - 0.5), "visibility": visible(3, room)}
    factors["shape"] = kinds(rng, 3, room, 19).astype(np.float32)
    return *draw(rng, (35, 35), 3), factors


def _sprites(rng: np.random.Generator, room: int, config: dict[str, Any]) -> Sample:
    channels = 1 if config["variant"] == "binarized" else 3
    objects = int(rng.integers(1, room))
    factors = {name: rows(rng, objects, room) for name in ("x", "y", "orientation", "scale")}
    factors |= {"color": rows(rng, objects, room, channels), "visibility": visible(objects, room)}
    factors["shape"] = kinds(rng, objects, room, 3).astype(np.float32)
    return *draw(rng, (64, 64), objects, channels), factors


def _room(rng: np.random.Generator, room: int, config: dict[str, Any]) -> Sample:
    return *draw(rng, (64, 64), room - 1), {}
