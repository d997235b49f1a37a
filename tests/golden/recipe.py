"""The weights with which the numbers in ``release/`` were computed, drawn again by the same recipe."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

RELEASE = Path(__file__).parent / "release"
Numbers = dict[str, NDArray[np.generic]]
Variables = dict[str, NDArray[np.float32]]


def numbers(net: str) -> Numbers:
    """What the released code computed with a network."""
    with np.load(RELEASE / f"{net}.npz", allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def variables(found: Numbers) -> Variables:
    """The variables of the network by name, in alphabetical order."""
    meta = json.loads(str(found["meta"]))
    drawn = draw(meta["names"], meta["shapes"])
    digest = hashlib.sha256(b"".join(value.astype("<f4").tobytes() for value in drawn.values())).hexdigest()
    assert digest == meta["weights_sha256"], "the recipe draws other weights than those of the numbers"
    return drawn


def draw(names: Sequence[str], shapes: Sequence[Sequence[int]]) -> Variables:
    """Normal draws, scaled so that no layer saturates, masks are far from uniform and means are around 0.5."""
    random = np.random.RandomState(7)
    drawn = {}
    for name, shape in zip(names, shapes, strict=True):
        n = random.standard_normal(size=shape)
        if name.endswith(("w", "w_gates")):
            drawn[name] = n / np.sqrt(np.prod(shape[:-1]))
        elif name.endswith("gamma"):
            drawn[name] = 1 + 0.2 * n
        else:
            drawn[name] = (0.3 if name.endswith("initial_sample_distribution") else 0.1) * n
    last = next(name for name in names if "pixel_decoder" in name and name.endswith("conv_2d_4/w"))
    drawn[last][..., 1:] *= 0.3
    drawn[last][..., 0] *= 5
    drawn[last.removesuffix("w") + "b"][1:] += 0.5
    return {name: value.astype(np.float32) for name, value in drawn.items()}
