"""Arrays as PNG data URIs, at native resolution: one pixel of the array is one pixel of the picture."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable

import numpy as np
from PIL import Image

from iodine_kit.records import Array, Bytes, Floats

# Anchors of the error's colour ramp, dark to bright in even steps of lightness, so that it also reads in grey.
_RAMP = ("0b0b14", "3d1a63", "9c2e6c", "e8663f", "fcc95c", "fffbe6")


def png(pixels: Bytes, palette: Bytes | None = None) -> str:
    """Data URI of ``uint8[H, W]`` (indices into ``palette uint8[n, 3]``, or grey), ``[H, W, 3]`` or ``[H, W, 4]``."""
    picture = Image.fromarray(pixels)
    if palette is not None:
        picture.putpalette(palette.tobytes())
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=6)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def to_bytes(reconstruction: Floats) -> Bytes:
    """``float[H, W, 3]`` in [0, 1] as ``uint8``, clipped; what is not a number is black."""
    clean = np.nan_to_num(reconstruction.astype(np.float64)).clip(0, 1)
    result: Bytes = np.rint(clean * 255).astype(np.uint8)
    return result


def absolute_error(image: Bytes, reconstruction: Floats) -> Array:
    """Mean over channels of the absolute difference, ``float64[H, W]``, the images in [0, 1] and not clipped."""
    error: Array = np.abs(reconstruction.astype(np.float64) - image / 255).mean(-1)
    return np.nan_to_num(error, nan=np.inf, posinf=np.inf)


def error_limit(errors: Iterable[Array]) -> float:
    """The error shown brightest: the 99th percentile over all the pictures, one scale for all of them; above 0."""
    values = np.concatenate([error.ravel() for error in errors] or [np.zeros(1)])
    finite = values[np.isfinite(values)]
    limit = float(np.quantile(finite, 0.99)) if finite.size else 0.0
    return float(f"{limit:.1g}") or 1.0


def error_colours(error: Array, limit: float) -> Bytes:
    """Error ``float[H, W]`` as colours ``uint8[H, W, 3]``, dark at 0 and brightest at ``limit`` and above."""
    level = np.rint((error / limit).clip(0, 1) * 63).astype(np.uint8)
    result: Bytes = ramp(64)[level]
    return result


def ramp(levels: int) -> Bytes:
    """The error's colours, ``uint8[levels, 3]``, from none to most."""
    anchors = np.array([list(bytes.fromhex(code)) for code in _RAMP])
    at = np.linspace(0, len(anchors) - 1, levels)
    channels = [np.interp(at, np.arange(len(anchors)), anchors[:, channel]) for channel in range(3)]
    result: Bytes = np.rint(np.stack(channels, -1)).astype(np.uint8)
    return result
