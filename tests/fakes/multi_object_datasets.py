"""DeepMind's multi_object_datasets: TFRecord files with one entry per byte, except in CATER."""

from __future__ import annotations

import gzip
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from fakes import Array, Fake, Truth, _published, _tfrecord, draw, one_hot, rows

FLAWS = ("overlap", "gap")
VARIANTS: tuple[dict[str, Any], ...] = (
    {"dataset": "tetrominoes"},
    {"dataset": "clevr", "scenes": 2},
    *({"dataset": "multi-dsprites", "variant": name} for name in _published.SPRITES),
    *({"dataset": "objects-room", "part": name} for name in _published.ROOMS),
    {"dataset": "cater", "part": "train"},
    {"dataset": "cater", "part": "test", "scenes": 1},
    {"dataset": "tetrominoes", "compression": "zlib"},
    {"dataset": "tetrominoes", "compression": "plain"},
    {"dataset": "objects-room", "part": "train", "compression": "zlib"},
    {"dataset": "cater", "part": "train", "compression": "gzip", "scenes": 1},
    {"dataset": "cater", "part": "train", "compression": "plain", "scenes": 1},
)
SMALL: tuple[dict[str, Any], ...] = ({}, {"compression": "zlib"}, {"compression": "plain"})
NEEDED: tuple[str, ...] = ()
_FRAMES = 33


def make(
    folder: Path,
    scenes: int = 3,
    seed: int = 0,
    *,
    dataset: str = "tetrominoes",
    compression: str = "",
    flaw: str = "",
    **config: Any,
) -> Fake:
    """One file, or CATER's first shards, with the published names.

    Args:
        folder: where to put them.
        scenes: records, which are videos of 33 scenes for CATER.
        seed: of the random generator.
        dataset: name of the data set.
        compression: ``gzip``, ``zlib`` or ``plain``; empty is as published.
        flaw: ``overlap`` or ``gap``, in the last record's mask.
        config: ``variant`` of Multi-dSprites, ``part`` of Objects Room and CATER.
    """
    rng = np.random.default_rng(seed)
    if dataset == "cater":
        return _cater(folder, scenes, rng, compression or "zlib", flaw, config)
    records, truth = [], []
    for index in range(scenes):
        image, mask, factors = _published.sample(dataset, config, rng)
        hot = one_hot(mask, _published.entities(dataset, config), flaw if index == scenes - 1 else "")
        hot = np.moveaxis(hot, 0, 2) if dataset == "multi-dsprites" else hot
        records.append(_tfrecord.example({"image": image, "mask": hot} | factors, rng))
        truth.append(Truth(np.broadcast_to(image, (*image.shape[:2], 3)), mask, factors))
    path = folder / _name(dataset, config)
    _tfrecord.write(path, records, compression or "gzip")
    return Fake(dataset, config, path, truth)


def _name(dataset: str, config: dict[str, Any]) -> str:
    if dataset == "multi-dsprites":
        return f"multi_dsprites_{config['variant']}.tfrecords"
    if dataset == "objects-room":
        return f"objects_room_{'' if config['part'] == 'train' else 'test_'}{config['part']}.tfrecords"
    return {"clevr": "clevr_with_masks_train", "tetrominoes": "tetrominoes_train"}[dataset] + ".tfrecords"


def _cater(
    folder: Path, videos: int, rng: np.random.Generator, compression: str, flaw: str, config: dict[str, Any]
) -> Fake:
    shards: list[list[bytes]] = [[], []]
    truth = []
    for index in range(videos):
        features, scenes = _video(rng, flaw if index == videos - 1 else "")
        shards[index * len(shards) // videos].append(_tfrecord.example(features, rng, blob=True))
        truth += scenes
    source = folder / "cater_with_masks"
    source.mkdir()
    for number, records in enumerate(shards):
        name = f"cater_with_masks_{config['part']}.tfrecords-{number:05d}-of-00100"
        if records:
            _tfrecord.write(source / name, records, compression)
    return Fake("cater", config, source, truth)


def _video(rng: np.random.Generator, flaw: str) -> tuple[dict[str, Array], list[Truth]]:
    objects, room = int(rng.integers(5, 11)), 11
    frames = [draw(rng, (64, 64), objects) for _ in range(_FRAMES)]
    positions = np.stack([rows(rng, objects, room, 3) for _ in range(_FRAMES)])
    hot = [one_hot(mask, room, flaw if index == _FRAMES - 1 else "") for index, (_, mask) in enumerate(frames)]
    features = {
        "image": np.stack([image for image, _ in frames]),
        "mask": np.stack(hot),
        "camera_matrix": rng.normal(size=(_FRAMES, 4, 4)).astype(np.float32),
        "object_positions": np.moveaxis(positions, 1, 0),
    }
    scenes = [
        Truth(image, mask, {"object_positions": position})
        for (image, mask), position in zip(frames, positions, strict=True)
    ]
    return features, scenes


def mix(fake: Fake) -> Fake:
    """Move the file into a folder with a file of another data set."""
    folder = fake.source.parent / "mixed"
    folder.mkdir()
    source = fake.source.rename(folder / fake.source.name)
    make(folder, 1, 1, dataset="objects-room", part="train")
    return replace(fake, source=source.parent)


def lone(folder: Path) -> tuple[Fake, Path, int]:
    """The middle of the second of three records, uncompressed."""
    fake = make(folder, compression="plain")
    return fake, fake.source, fake.source.stat().st_size // 2


def _endless(fake: Fake) -> None:
    length = struct.pack("<Q", 1 << 60)
    fake.source.write_bytes(length + _tfrecord.masked(length) + bytes(1000))


def _inflated(fake: Fake) -> None:
    length = struct.pack("<Q", 1 << 33)
    fake.source.write_bytes(gzip.compress(length + _tfrecord.masked(length) + bytes(1 << 24)))


def _no_example(fake: Fake) -> None:
    _tfrecord.write(fake.source, [b"hello, this is not a message"])


def _empty(fake: Fake) -> None:
    _tfrecord.write(fake.source, [b""])


def _misnamed(fake: Fake) -> None:
    rng = np.random.default_rng(0)
    image, mask, factors = _published.sample("tetrominoes", {}, rng)
    factors["colour"] = factors.pop("color")
    _tfrecord.write(fake.source, [_tfrecord.example({"image": image, "mask": one_hot(mask, 4)} | factors, rng)])


HOSTILE = {
    "a record of 2^60 bytes": _endless,
    "a record longer than its compressed stream": _inflated,
    "a record that is not an example": _no_example,
    "an example without features": _empty,
    "another name of a feature": _misnamed,
}
