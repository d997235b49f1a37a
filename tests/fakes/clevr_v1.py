"""CLEVR v1.0 as published in its zip: PNG files of 480×320 RGBA pixels, scenes in JSON (not for test), no masks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fakes import Array, Bytes, Fake, Truth, draw

FLAWS = ()
VARIANTS: tuple[dict[str, Any], ...] = ({}, {"relations": "relations"}, {"scenes": 5, "shuffled": True})
SMALL: tuple[dict[str, Any], ...] = ({},)
NEEDED = ("images/train/*.png", "images/val/*.png", "scenes/*.json")
NAMES = {
    "material": ("rubber", "metal"),
    "size": ("large", "small"),
    "shape": ("sphere", "cylinder", "cube"),
    "color": ("red", "cyan", "green", "blue", "brown", "gray", "purple", "yellow"),
}
"""Sorted by their numbers in CLEVR with masks, which start at 1."""


def make(
    folder: Path, scenes: int = 3, seed: int = 0, *, relations: str = "relationships", shuffled: bool = False
) -> Fake:
    """A tree with one scene of val, one of test and the others of train.

    Args:
        folder: where to put it.
        scenes: images, at least 3.
        seed: of the random generator.
        relations: key of the relations: the generator writes ``relationships``, the README says ``relations``.
        shuffled: whether the order of the scenes in a file differs from the numbers of their images.
    """
    rng = np.random.default_rng(seed)
    root = folder / "CLEVR_v1.0"
    (root / "scenes").mkdir(parents=True)
    (root / "questions").mkdir()
    (root / "questions" / "CLEVR_val_questions.json").write_text(json.dumps({"info": {}, "questions": []}))
    (root / "README.txt").write_text("CLEVR: questions about pictures\n")
    truth = []
    for split, count in (("train", scenes - 2), ("val", 1), ("test", 1)):
        entries = []
        order = range(count)[::-1] if shuffled and split != "test" else range(count)
        for index in order:
            one, objects = _scene(rng, split)
            truth.append(one)
            entries.append(_save(root, split, index, one.image, objects, relations))
        if split != "test":
            info = {"split": split, "version": "1.0", "date": "2/14/2017", "license": "Creative Commons (CC-BY 4.0)"}
            listed = {"info": info, "scenes": entries}
            (root / "scenes" / f"CLEVR_{split}_scenes.json").write_text(json.dumps(listed))
    return Fake("clevr", {}, root, truth)


def _scene(rng: np.random.Generator, split: str) -> tuple[Truth, list[dict[str, Any]]]:
    count = int(rng.integers(3, 11))
    image, _ = draw(rng, (320, 480), count)
    objects = []
    for _ in range(count):
        made: dict[str, Any] = {name: str(rng.choice(names)) for name, names in NAMES.items()}
        made |= {"rotation": float(rng.uniform(0, 360)), "3d_coords": rng.uniform(-3, 3, 3).tolist()}
        objects.append(made | {"pixel_coords": [*rng.integers(0, 320, 2).tolist(), float(rng.uniform(8, 15))]})
    factors = _factors(objects) if split != "test" else {}
    return Truth(image, np.zeros((320, 480), np.uint8), factors, split), objects


def _factors(objects: list[dict[str, Any]]) -> dict[str, Array]:
    place = np.array([[0, 0, 0], *(one["3d_coords"] for one in objects)], np.float32)
    factors: dict[str, Array] = dict(zip("xyz", place.T, strict=True))
    factors["rotation"] = np.array([0, *(one["rotation"] for one in objects)], np.float32)
    factors["pixel_coords"] = np.array([[0, 0, 0], *(one["pixel_coords"] for one in objects)], np.float32)
    for name, known in NAMES.items():
        factors[name] = np.array([0, *(1 + known.index(one[name]) for one in objects)])
    return factors


def _save(
    root: Path, split: str, index: int, image: Bytes, objects: list[dict[str, Any]], relations: str
) -> dict[str, Any]:
    name = f"CLEVR_{split}_{index:06d}.png"
    path = root / "images" / split / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.dstack([image, np.full(image.shape[:2], 255, np.uint8)])).save(path, compress_level=1)
    sides = ("left", "right", "front", "behind")
    return {
        "split": split,
        "image_index": index,
        "image_filename": name,
        "directions": {side: [0.0, 0.0, 1.0] for side in (*sides, "above", "below")},
        "objects": objects,
        relations: {side: [[] for _ in objects] for side in sides},
    }


def mix(fake: Fake) -> Fake:
    """Replace a picture by one of another size."""
    Image.new("RGBA", (320, 240)).save(fake.source / "images" / "val" / "CLEVR_val_000000.png")
    return fake


def lone(folder: Path) -> tuple[Fake, Path, int]:
    """The middle of a picture."""
    fake = make(folder)
    path = fake.source / "images" / "val" / "CLEVR_val_000000.png"
    return fake, path, path.stat().st_size // 2


def _scenes(text: str) -> Callable[[Fake], None]:
    def write(fake: Fake) -> None:
        (fake.source / "scenes" / "CLEVR_val_scenes.json").write_text(text)

    return write


def _changed(**values: Any) -> Callable[[Fake], None]:
    """Change values of the first object of val; with the prefix ``scene_``, values of the scene."""

    def write(fake: Fake) -> None:
        path = fake.source / "scenes" / "CLEVR_val_scenes.json"
        listed = json.loads(path.read_text())
        for name, value in values.items():
            place = listed["scenes"][0] if name.startswith("scene_") else listed["scenes"][0]["objects"][0]
            place[name.removeprefix("scene_").replace("three_d", "3d")] = value
        path.write_text(json.dumps(listed))

    return write


def _outside(fake: Fake) -> None:
    Image.new("RGBA", (480, 320)).save(fake.source.parent / "outside.png")
    _changed(scene_image_filename="../../../outside.png")(fake)


HOSTILE = {
    "a list": _scenes("[]"),
    "a number for scenes": _scenes('{"info": {}, "scenes": 3}'),
    "numbers as scenes": _scenes('{"info": {}, "scenes": [1, 2]}'),
    "deep nesting": _scenes("[" * 100_000),
    "a huge number": _scenes('{"info": {}, "scenes": ' + "9" * 10_000 + "}"),
    "no UTF-8": lambda fake: (fake.source / "scenes" / "CLEVR_val_scenes.json").write_bytes(b"\xff\xfe{}"),
    "an unknown colour": _changed(color="pink"),
    "no colour": _changed(color=None),
    "coordinates in a plane": _changed(three_d_coords=[1.0, 2.0]),
    "coordinates in words": _changed(three_d_coords=["a", "b", "c"]),
    "a number for objects": _changed(scene_objects=7),
    "a picture elsewhere": _outside,
}
