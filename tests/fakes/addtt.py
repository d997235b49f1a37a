"""The HDF5 files of the object-centric-library: index masks, flat arrays, and a hostile pickle beside them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from fakes import MARKER, Array, Bomb, Bytes, Fake, Truth, _published, draw

FLAWS = ()
VARIANTS: tuple[dict[str, Any], ...] = (
    {},
    {"dataset": "clevr"},
    {"dataset": "multi-dsprites", "variant": "colored_on_grayscale"},
    {"dataset": "objects-room", "part": "train"},
    {"dataset": "clevrtex"},
    {"mask_type": "int64"},
)
SMALL: tuple[dict[str, Any], ...] = ({},)
NEEDED: tuple[str, ...] = ()
_STEMS = {
    "clevr": "clevr_10",
    "clevrtex": "clevrtex",
    "multi-dsprites": "multidsprites_colored_on_grayscale",
    "objects-room": "objects_room_train",
    "tetrominoes": "tetrominoes",
}


def make(
    folder: Path,
    scenes: int = 3,
    seed: int = 0,
    *,
    dataset: str = "tetrominoes",
    mask_type: str = "uint8",
    **config: Any,
) -> Fake:
    """``STEM-full.hdf5`` and ``STEM-metadata.npy``, which creates ``MARKER`` in its folder when it is unpickled.

    Args:
        folder: where to put them.
        scenes: images.
        seed: of the random generator.
        dataset: name of the data set.
        mask_type: of the indices.
        config: ``variant`` of Multi-dSprites, ``part`` of Objects Room.
    """
    rng = np.random.default_rng(seed)
    samples = [_sample(dataset, config, rng) for _ in range(scenes)]
    arrays = {
        "image": np.stack([image for image, _, _ in samples]),
        "mask": np.stack([mask for _, mask, _ in samples])[..., None].astype(mask_type),
        "num_actual_objects": np.array([[mask.max()] for _, mask, _ in samples], np.uint8),
    }
    for name in samples[0][2]:
        values = np.stack([factors[name] for _, _, factors in samples])
        arrays[name] = values[..., None] if values.ndim == 2 else values
    if "visibility" not in arrays:
        room = int(arrays["mask"].max()) + 1
        arrays["visibility"] = np.stack([np.arange(room) <= mask.max() for _, mask, _ in samples]).astype(np.float32)
    path = folder / f"{_STEMS[dataset]}-full.hdf5"
    with h5py.File(path, "w") as file:
        for name, values in arrays.items():
            file.create_dataset(name, data=values)
    _metadata(folder, dataset, scenes)
    return Fake(dataset, config, path, [Truth(*sample) for sample in samples])


def _sample(dataset: str, config: dict[str, Any], rng: np.random.Generator) -> tuple[Bytes, Bytes, dict[str, Array]]:
    if dataset == "clevrtex":
        return *draw(rng, (128, 128), int(rng.integers(3, 11))), {}
    image, mask, factors = _published.sample(dataset, config, rng)
    if dataset == "clevr":  # was cropped and resized to 128×128
        image, mask = draw(rng, (128, 128), int(factors["visibility"].sum()) - 1)
    return image, mask, factors


def _metadata(folder: Path, dataset: str, scenes: int) -> None:
    described = {
        "self.dataset": {"type": "dataset_property", "num_samples": scenes},
        "x": {"type": "numerical", "mean": np.zeros(1), "var": np.ones(1), "shape": (scenes, 4, 1)},
        "trap": Bomb(folder / MARKER),
    }
    np.save(folder / f"{_STEMS[dataset]}-metadata.npy", np.array(described, dtype=object), allow_pickle=True)


def mix(fake: Fake) -> Fake:
    """Replace the file by one of another data set."""
    other = make(fake.source.parent, dataset="objects-room", part="train")
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
        outside["held"] = file["image"][()]
    _put(image=h5py.ExternalLink(str(other), "held"))(fake)


def _misnamed(fake: Fake) -> None:
    with h5py.File(fake.source, "r+") as file:
        file.move("image", b"\xe9mage")


HOSTILE = {
    "a name that is not text": _misnamed,
    "fewer masks than images": _put(mask=np.zeros((2, 35, 35, 1), np.uint8)),
    "masks of another size": _put(mask=np.zeros((3, 32, 32, 1), np.uint8)),
    "masks of fractions": _put(mask=np.full((3, 35, 35, 1), 0.5)),
    "masks of text": _put(mask=np.full((3, 35, 35, 1), b"a")),
    "a link to itself": _put(image=h5py.SoftLink("/image")),
    "a link to another file": _outside,
    "a group": _put(image=h5py.SoftLink("/")),
    "a number": _put(image=3),
    "images of two channels": _put(image=np.zeros((3, 35, 35, 2), np.uint8)),
    "an index beyond all entities": _put(mask=np.full((3, 35, 35, 1), 200, np.uint8)),
    "masks below 0": _put(mask=np.full((3, 35, 35, 1), -1)),
    "masks beyond a byte": _put(mask=np.full((3, 35, 35, 1), 256)),
    "fewer factors than images": _put(x=np.zeros((2, 4, 1), np.float32)),
}
