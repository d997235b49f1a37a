"""Structural similarity of images (Wang et al. 2004), all local statistics as matrix products.

Arrays are NumPy's on the CPU and torch's on other devices; the code is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iodine_kit.records import Array, Bytes, Floats

WINDOW, SIGMA, K1, K2 = 11, 1.5, 0.01, 0.03
_BAND = 16
_ON_CPU, _ON_GPU = 1 << 14, 1 << 22
"""Pixels filtered together: as many as fit a processor's cache, or keep a GPU busy."""


def structural_similarity(
    image: Bytes, reconstruction: Floats, device: str, kept: NDArray[np.bool_] | None = None
) -> NDArray[np.float64]:
    """Mean SSIM of every scene over channels and all windows that lie inside, ``float64[B]``.

    Args:
        image, reconstruction: ``[B, H, W, 3]``, in 0…255 and in [0, 1].
        device: of the filtering, which is ``float64``.
        kept: which pixels count, ``bool[B, H, W]``; windows with others are omitted. ``None`` for all.

    Returns:
        NaN for images lower or narrower than the window, and for those without a window that counts.
    """
    scenes, height, width = image.shape[:3]
    if min(height, width) < WINDOW or not scenes:
        return np.full(scenes, np.nan)
    send = _sender(device)
    weights, similarity = send(_gaussians()), np.empty(scenes)
    together = min(scenes, max(1, (_ON_CPU if device == "cpu" else _ON_GPU) // (height * width)))
    room = _Room.of(weights, height, width, together)
    pair: tuple[Array, Array] = image, reconstruction
    for first in range(0, scenes, together):
        some = slice(first, min(first + together, scenes))
        count = some.stop - first  # the last part may be smaller; the rest of the buffer is ignored
        for index, images in enumerate(pair):
            room.maps[:, index, :count] = send(images[some].transpose(1, 0, 3, 2))
        room.maps[:, 0, :count] /= 255  # only now it is float64
        local = _similarity(room, weights)
        mean = local.mean((0, 2, 3)) if kept is None else _mean_of_windows(local, send(_whole_windows(kept[some])))
        similarity[some] = (mean if device == "cpu" else mean.cpu().numpy())[:count]
    return similarity


@dataclass(frozen=True)
class _Room:
    """Buffers that are reused for every part: allocating new pages each time takes as long as filtering."""

    maps: Any  # [H, 4, B, 3, W]: images, reconstructions, and room for their products
    lines: Any  # [H − 10, 4, B, 3, W]
    means: Any  # [H − 10, 4, B, 3, W − 10]
    product: Any  # [H − 10, B, 3, W − 10]

    @classmethod
    def of(cls, like: Any, height: int, width: int, images: int) -> _Room:
        """Buffers for so many images, on the device of ``like``."""
        tall, wide = height - WINDOW + 1, width - WINDOW + 1
        shapes = (height, 4, images, 3, width), (tall, 4, images, 3, width), (tall, 4, images, 3, wide)
        return cls(*(_empty(like, shape) for shape in (*shapes, (tall, images, 3, wide))))


def _sender(device: str) -> Callable[[Array], Any]:
    if device == "cpu":
        return lambda array: array
    from iodine_kit.tensors import array_to

    return lambda array: array_to(device, array)


def _similarity(room: _Room, weights: Any) -> Any:
    """SSIM of each pair of images in every window, ``[H − 10, B, 3, W − 10]``; in place: no new allocations."""
    x, y, squares, product = (room.maps[:, index] for index in range(4))
    squares[:], product[:] = x, y
    squares *= x
    product *= y
    squares += product
    product[:] = x
    product *= y
    _filter(room, weights)
    mean_x, mean_y, squares, product = (room.means[:, index] for index in range(4))
    similar = room.product
    similar[:] = mean_x
    similar *= mean_y
    mean_x *= mean_x
    mean_y *= mean_y
    mean_x += mean_y
    product -= similar  # the covariance
    squares -= mean_x  # the sum of both variances
    for term, constant in ((similar, K1**2), (product, K2**2)):
        term *= 2
        term += constant
    mean_x += K1**2
    squares += K2**2
    similar *= product
    similar /= mean_x
    similar /= squares
    return similar


def _whole_windows(kept_BHW: NDArray[np.bool_]) -> NDArray[np.float64]:
    """1 for windows in which all pixels count, else 0, ``float64[H − 10, B, 1, W − 10]``."""
    from numpy.lib.stride_tricks import sliding_window_view

    columns = np.asarray(sliding_window_view(kept_BHW, WINDOW, axis=1).all(-1))
    whole = np.asarray(sliding_window_view(columns, WINDOW, axis=2).all(-1))
    return whole.transpose(1, 0, 2)[:, :, None].astype(np.float64)


def _mean_of_windows(local: Any, weights: Any) -> Any:
    """Mean of ``[H − 10, B', 3, W − 10]`` over the windows with weight 1, ``[B]``; NaN without any."""
    total = (local[:, : weights.shape[1]] * weights).sum((0, 2, 3))
    with np.errstate(invalid="ignore"):
        return total / (3 * weights.sum((0, 2, 3)))


def _filter(room: _Room, weights: Any) -> None:
    """Gaussian means of the maps over every window, first along columns and then along lines."""
    columns, along = (part.reshape(len(part), -1) for part in (room.maps, room.lines))
    for start, stop, band in _bands(len(along), weights):
        along[start:stop] = band @ columns[start : stop + WINDOW - 1]
    lines, means = (part.reshape(-1, part.shape[-1]) for part in (room.lines, room.means))
    for start, stop, band in _bands(means.shape[1], weights):
        means[:, start:stop] = lines[:, start : stop + WINDOW - 1] @ band.T


def _bands(length: int, weights: Any) -> Iterator[tuple[int, int, Any]]:
    """Ranges of rows with their weights: one long product would mostly multiply by zero; short ones are still fast."""
    for start in range(0, length, _BAND):
        stop = min(start + _BAND, length)
        yield start, stop, weights[: stop - start, : stop - start + WINDOW - 1]


def _gaussians() -> NDArray[np.float64]:
    """A window's weights in every row, shifted by one pixel per row: ``[_BAND, _BAND + WINDOW − 1]``."""
    one = np.exp(-((np.arange(WINDOW) - WINDOW // 2) ** 2) / (2 * SIGMA**2))
    shifted = np.zeros((_BAND, _BAND + WINDOW - 1))
    for row in range(_BAND):
        shifted[row, row : row + WINDOW] = one / one.sum()
    return shifted


def _empty(like: Any, shape: tuple[int, ...]) -> Any:
    """An uninitialised ``float64`` array on the device of ``like``."""
    return np.empty(shape) if isinstance(like, np.ndarray) else like.new_empty(shape)
