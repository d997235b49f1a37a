"""EfficientMORL's HDF5 files: a group per split, masks with an entity axis, factors without a documented meaning."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from fakes import Fake, Truth, _published, one_hot

FLAWS = ("overlap", "gap")
VARIANTS: tuple[dict[str, Any], ...] = (
    {},
    {"owner": 1},
    {"dataset": "clevr"},
    {"dataset": "multi-dsprites", "variant": "colored_on_colored"},
    {"scenes": 7, "compression": "gzip"},
)
SMALL: tuple[dict[str, Any], ...] = ({}, {"compression": "gzip"})
NEEDED: tuple[str, ...] = ()


def make(
    folder: Path,
    scenes: int = 3,
    seed: int = 0,
    *,
    dataset: str = "tetrominoes",
    owner: int = 255,
    flaw: str = "",
    compression: str | None = None,
    **config: Any,
) -> Fake:
    """One file with one scene of val, one of test and the others of train.

    Args:
        folder: where to put it.
        scenes: images, at least 3.
        seed: of the random generator.
        dataset: name of the data set.
        owner: value of a mask at the pixels of its entity: 255 or 1.
        flaw: ``overlap`` or ``gap``, in the last mask of test.
        compression: HDF5's.
        config: ``variant`` of Multi-dSprites.
    """
    rng = np.random.default_rng(seed)
    room = _published.entities(dataset, config)
    truth = []
    path = folder / f"{dataset.replace('-', '_')}.h5"
    with h5py.File(path, "w") as file:
        for split, count in (("train", scenes - 2), ("val", 1), ("test", 1)):
            samples = [_published.sample(dataset, config, rng) for _ in range(count)]
            group = file.create_group(split)
            hot = np.stack([one_hot(mask, room, flaw if split == "test" else "", owner) for _, mask, _ in samples])
            factors = np.stack([factors["visibility"] for _, _, factors in samples])
            group.create_dataset("imgs", data=np.stack([image for image, _, _ in samples]), compression=compression)
            group.create_dataset("masks", data=hot, compression=compression)
            group.create_dataset("factors", data=factors)
            truth += [Truth(image, mask, {}, split) for image, mask, _ in samples]
    return Fake(dataset, config, path, truth)


def mix(fake: Fake) -> Fake:
    """Replace the file by one of another data set."""
    other = make(fake.source.parent, dataset="multi-dsprites", variant="colored_on_colored")
    other.source.replace(fake.source)
    return fake


def _put(**datasets: Any) -> Callable[[Fake], None]:
    """Replace values of a data set or put a link; ``__`` in a name means ``/``."""

    def write(fake: Fake) -> None:
        with h5py.File(fake.source, "r+") as file:
            for name, values in datasets.items():
                path = name.replace("__", "/")
                del file[path]
                file[path] = values

    return write


def _outside(fake: Fake) -> None:
    other = fake.source.with_name("other.h5")
    with h5py.File(fake.source, "r") as file, h5py.File(other, "w") as outside:
        outside["held"] = file["train/imgs"][()]
    _put(train__imgs=h5py.ExternalLink(str(other), "held"))(fake)


def _misnamed(fake: Fake) -> None:
    with h5py.File(fake.source, "r+") as file:
        file.move("train/imgs", b"train/\xe9mgs")


HOSTILE = {
    "a name that is not text": _misnamed,
    "fewer masks than images": _put(train__masks=np.zeros((0, 4, 35, 35, 1), np.uint8)),
    "masks of another size": _put(train__masks=np.zeros((1, 4, 32, 32, 1), np.uint8)),
    "masks of fractions": _put(train__masks=np.full((1, 4, 35, 35, 1), 0.5)),
    "masks of text": _put(train__masks=np.full((1, 4, 35, 35, 1), b"a")),
    "a link to itself": _put(train__imgs=h5py.SoftLink("/train/imgs")),
    "a link to another file": _outside,
    "a group": _put(train__imgs=h5py.SoftLink("/")),
    "a number": _put(train__imgs=3),
    "images of two channels": _put(train__imgs=np.zeros((1, 35, 35, 2), np.uint8)),
    "too many entities": _put(
        train__masks=np.eye(300, dtype=np.uint8)[:1, :, None, None, None].repeat(35, 2).repeat(35, 3)
    ),
}
