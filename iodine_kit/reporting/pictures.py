"""Arrays as PNG data URIs, at native resolution, one by one or side by side in one file."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from typing import Any

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


LOSSLESS = 64
QUALITY = 80
"""Of WebP, of 100."""
_LEVELS = 32
"""Of opacity."""
_COLOURS = 256


def is_exact(height: int, width: int) -> bool:
    """Whether pictures of this size are kept to the bit."""
    return max(height, width) <= LOSSLESS


def pictures_strip(frames: Sequence[Bytes]) -> str:
    """RGB pictures ``uint8[H, W, 3]`` beside each other."""
    strip = np.ascontiguousarray(np.concatenate(frames, 1))
    if is_exact(*frames[0].shape[:2]):
        return _uri(Image.fromarray(strip), "png", compress_level=6)
    return _uri(Image.fromarray(strip), "webp", quality=QUALITY, method=2)


def masks_strip(frames: Sequence[tuple[Bytes, Bytes]]) -> str:
    """Masks ``uint8[H, W]`` beside each other, each with a palette ``uint8[n, 3]`` of its own for its indices."""
    first: dict[bytes, int] = {}
    used = 0
    for _, palette in frames:
        if palette.tobytes() not in first:
            first[palette.tobytes()] = used
            used += len(palette)
    if used > _COLOURS:
        strip = np.concatenate([palette[mask] for mask, palette in frames], 1)
        return _uri(Image.fromarray(strip), "png", compress_level=6)
    shifted = [mask + np.uint8(first[palette.tobytes()]) for mask, palette in frames]
    picture = Image.fromarray(np.concatenate(shifted, 1))
    picture.putpalette(b"".join(first))
    return _uri(picture, "png", compress_level=6)


def opacity_strip(mask_KHW: Array) -> str:
    """Soft masks ``float[K, H, W]`` beside each other as opacity of white, in 32 levels; NaN is transparent."""
    clean = np.nan_to_num(mask_KHW.astype(np.float32)).clip(0, 1)
    level = np.rint(clean * (_LEVELS - 1)).astype(np.uint8)
    picture = Image.fromarray(np.concatenate(list(level), 1))
    picture.putpalette(b"\xff" * 3 * _LEVELS)
    alpha = bytes(round(255 * i / (_LEVELS - 1)) for i in range(_LEVELS))
    return _uri(picture, "png", compress_level=6, transparency=alpha)


def _uri(picture: Image.Image, kind: str, **how: Any) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **how)
    return f"data:image/{kind};base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
