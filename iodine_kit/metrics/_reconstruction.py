"""The error of reconstructed images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from iodine_kit.records import Bytes, Floats


def squared_error(image: Bytes, reconstruction: Floats) -> NDArray[np.float64]:
    """Mean squared error of every scene, ``float64[B]``, of ``[B, H, W, 3]`` in 0…255 and in [0, 1]."""
    errors = np.empty(len(image))
    for scene, (true, guess) in enumerate(zip(image, reconstruction, strict=True)):  # one fits the processor's cache
        error = (guess - true / 255).ravel()  # float64, as a quotient of integers is
        errors[scene] = error @ error / error.size
    return errors
