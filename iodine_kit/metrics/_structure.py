"""Structural similarity of images (Wang et al. 2004), all local statistics as matrix products.

On the CPU arrays are numpy's, on other devices torch's; the code is the same for both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iodine_kit.records import Array, Bytes, Floats

WINDOW, SIGMA, K1, K2 = 11, 1.5, 0.01, 0.03
_BAND = 16
_ON_CPU, _ON_GPU = 1 << 14, 1 << 22
"""Pixels filtered together: what fits a processor's cache, and what keeps a GPU busy."""


def structural_similarity(image: Bytes, reconstruction: Floats, device: str) -> NDArray[np.float64]:
    """Mean SSIM of every scene over channels and all windows that lie inside, ``float64[B]``.

    Args:
        image, reconstruction: ``[B, H, W, 3]``, in 0…255 and in [0, 1].
        device: of the filtering, which is ``float64``.

    Returns:
        NaN for images lower or narrower than the window.
    """
    scenes, height, width = image.shape[:3]
    if min(height, width) < WINDOW:
        return np.full(scenes, np.nan)
    send = _sender(device)
    weights, similarity = send(_gaussians()), np.empty(scenes)
    together = max(1, (_ON_CPU if device == "cpu" else _ON_GPU) // (height * width))
    for first in range(0, scenes, together):
        some = slice(first, first + together)
        x_HBCW, y_HBCW = (send(images[some].transpose(1, 0, 3, 2)) for images in (image, reconstruction))
        maps = _empty(weights, (height, 4, *x_HBCW.shape[1:]))
        maps[:, 0], maps[:, 1] = x_HBCW, y_HBCW
        maps[:, 0] /= 255  # not before it is float64
        mean = _similarity(maps, weights)
        similarity[some] = mean if device == "cpu" else mean.cpu().numpy()
    return similarity


def _sender(device: str) -> Callable[[Array], Any]:
    if device == "cpu":
        return lambda array: array
    from iodine_kit.tensors import array_to

    return lambda array: array_to(device, array)


def _similarity(maps_H4BCW: Any, weights: Any) -> Any:
    """Mean SSIM of each pair of images, the first two maps; the other two are room for their products."""
    x, y, squares, product = (maps_H4BCW[:, index] for index in range(4))
    squares[:] = x * x
    squares += y * y
    product[:] = x * y
    windows = _windows(maps_H4BCW, weights)
    mean_x, mean_y, squares, product = (windows[:, index] for index in range(4))
    means_product, means_squares = mean_x * mean_y, mean_x * mean_x + mean_y * mean_y
    product -= means_product
    squares -= means_squares
    similar = (2 * means_product + K1**2) * (2 * product + K2**2) / ((means_squares + K1**2) * (squares + K2**2))
    return similar.mean((0, 2, 3))


def _windows(maps: Any, weights: Any) -> Any:
    """Gaussian means over every window, of ``[H, …, W]``; each side gets ``WINDOW − 1`` shorter."""
    height, width, middle = maps.shape[0] - WINDOW + 1, maps.shape[-1] - WINDOW + 1, maps.shape[1:-1]
    flat = maps.reshape(maps.shape[0], -1)
    lines = _empty(weights, (height, flat.shape[1]))
    for start, stop, band in _bands(height, weights):
        lines[start:stop] = band @ flat[start : stop + WINDOW - 1]
    lines = lines.reshape(-1, maps.shape[-1])
    means = _empty(weights, (lines.shape[0], width))
    for start, stop, band in _bands(width, weights):
        means[:, start:stop] = lines[:, start : stop + WINDOW - 1] @ band.T
    return means.reshape(height, *middle, width)


def _bands(length: int, weights: Any) -> Iterator[tuple[int, int, Any]]:
    """A long product would mostly multiply by zero; these are short ones, still long enough to be fast."""
    for start in range(0, length, _BAND):
        stop = min(start + _BAND, length)
        yield start, stop, weights[: stop - start, : stop - start + WINDOW - 1]


def _gaussians() -> NDArray[np.float64]:
    """A window's weights in every row, each a pixel further on: ``[_BAND, _BAND + WINDOW − 1]``."""
    one = np.exp(-((np.arange(WINDOW) - WINDOW // 2) ** 2) / (2 * SIGMA**2))
    shifted = np.zeros((_BAND, _BAND + WINDOW - 1))
    for row in range(_BAND):
        shifted[row, row : row + WINDOW] = one / one.sum()
    return shifted


def _empty(like: Any, shape: tuple[int, ...]) -> Any:
    """Room for ``float64``, where ``like`` is."""
    return np.empty(shape) if isinstance(like, np.ndarray) else like.new_empty(shape)
