"""Arrays as data URIs at native resolution: single pictures, and strips of several pictures side by side."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from iodine_kit.records import Array, Bytes, Floats

# Anchors of the colour ramp of errors, from dark to bright in even steps of lightness: it is readable in grey too.
_RAMP = ("0b0b14", "3d1a63", "9c2e6c", "e8663f", "fcc95c", "fffbe6")

LOSSLESS_SIDE = 64
"""Pictures up to this side are stored exactly, as PNG; larger ones as WebP."""
QUALITY = 80
"""Quality of WebP, of 100."""
_OPACITY_LEVELS = 32
_MOST_COLOURS = 256


def png(pixels: Bytes, palette: Bytes | None = None) -> str:
    """Data URI of a PNG.

    Args:
        pixels: ``uint8[H, W, 3]``, ``uint8[H, W, 4]``, or ``uint8[H, W]``: grey, or indices into ``palette``.
        palette: ``uint8[n, 3]``.
    """
    return _uri(pixels, "png", None if palette is None else palette.tobytes(), compress_level=6)


def to_bytes(reconstruction: Floats) -> Bytes:
    """``float[H, W, 3]`` in [0, 1] as ``uint8``, clipped; NaN is black."""
    clean = np.nan_to_num(reconstruction.astype(np.float64)).clip(0, 1)
    result: Bytes = np.rint(clean * 255).astype(np.uint8)
    return result


def absolute_error(image: Bytes, reconstruction: Floats) -> Array:
    """Absolute difference in [0, 1], mean over channels, ``float64[H, W]``; the reconstruction is not clipped."""
    error: Array = np.abs(reconstruction.astype(np.float64) - image / 255).mean(-1)
    return np.nan_to_num(error, nan=np.inf, posinf=np.inf)


def error_limit(errors: Iterable[Array]) -> float:
    """The error that is shown brightest, on one scale for all pictures: the 99th percentile of all errors; above 0."""
    values = np.concatenate([error.ravel() for error in errors] or [np.zeros(1)])
    finite = values[np.isfinite(values)]
    limit = float(np.quantile(finite, 0.99)) if finite.size else 0.0
    return float(f"{limit:.1g}") or 1.0


def error_colours(error: Array, limit: float) -> Bytes:
    """Error ``float[H, W]`` in colours, ``uint8[H, W, 3]``: dark at 0, brightest at ``limit`` and above."""
    level = np.rint((error / limit).clip(0, 1) * 63).astype(np.uint8)
    result: Bytes = ramp(64)[level]
    return result


def ramp(levels: int) -> Bytes:
    """The colours of errors, ``uint8[levels, 3]``, from none to the largest."""
    anchors = np.array([list(bytes.fromhex(code)) for code in _RAMP])
    at = np.linspace(0, len(anchors) - 1, levels)
    channels = [np.interp(at, np.arange(len(anchors)), anchors[:, channel]) for channel in range(3)]
    result: Bytes = np.rint(np.stack(channels, -1)).astype(np.uint8)
    return result


def is_exact(height: int, width: int) -> bool:
    """Whether pictures of this size are stored without loss."""
    return max(height, width) <= LOSSLESS_SIDE


def rgb_strip(frames: Sequence[Bytes]) -> str:
    """RGB pictures ``uint8[H, W, 3]`` side by side, as a data URI."""
    strip = np.ascontiguousarray(np.concatenate(frames, 1))
    if is_exact(*frames[0].shape[:2]):
        return _uri(strip, "png", compress_level=6)
    return _uri(strip, "webp", quality=QUALITY, method=2)


def mask_strip(frames: Sequence[tuple[Bytes, Bytes]]) -> str:
    """Masks ``uint8[H, W]`` side by side, each with its own palette ``uint8[n, 3]``, as a data URI."""
    first: dict[bytes, int] = {}
    used = 0
    for _, palette in frames:
        if palette.tobytes() not in first:
            first[palette.tobytes()] = used
            used += len(palette)
    if used > _MOST_COLOURS:
        strip = np.concatenate([palette[mask] for mask, palette in frames], 1)
        return _uri(strip, "png", compress_level=6)
    shifted = [mask + np.uint8(first[palette.tobytes()]) for mask, palette in frames]
    return _uri(np.concatenate(shifted, 1), "png", b"".join(first), compress_level=6)


def opacity_strip(mask_KHW: Array) -> str:
    """Soft masks ``float[K, H, W]`` side by side as opacity of white (32 levels), as a data URI; NaN is transparent."""
    clean = np.nan_to_num(mask_KHW.astype(np.float32)).clip(0, 1)
    level = np.rint(clean * (_OPACITY_LEVELS - 1)).astype(np.uint8)
    white = b"\xff" * 3 * _OPACITY_LEVELS
    alpha = bytes(round(255 * i / (_OPACITY_LEVELS - 1)) for i in range(_OPACITY_LEVELS))
    return _uri(np.concatenate(list(level), 1), "png", white, compress_level=6, transparency=alpha)


def _uri(pixels: Bytes, kind: str, palette: bytes | None = None, **options: Any) -> str:
    from PIL import Image  # here, because studies are planned without any picture

    picture = Image.fromarray(pixels)
    if palette is not None:
        picture.putpalette(palette)
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return f"data:image/{kind};base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
