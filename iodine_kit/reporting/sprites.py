"""Pictures of one size side by side in one file, as data URIs: a page of hundreds of scenes has few files that way.

Masks are exact (PNG). Other pictures are exact up to :data:`LOSSLESS` pixels a side, and lossy WebP above.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from iodine_kit.records import Array, Bytes

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
