"""The pixels of a mask's picture as they are stored: grey values, indices of a palette, or colours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from iodine_kit.errors import IodineKitError, SchemaError
from iodine_kit.records import Array, Bytes
from iodine_kit.untrusted.pictures import Decoded, opened

if TYPE_CHECKING:
    from PIL import Image

Kind = Literal["grey", "palette", "colour"]
Palette = Mapping[int, int]
"""Number of the entity of every colour, ``R·65536 + G·256 + B``; empty if numbers follow the order of appearance."""

CLEAR = 1 << 40
"""Value of transparent pixels, above all others."""
_OPAQUE = 128
"""Pixels of this alpha or more have their colour; the others are transparent."""
_GREY = frozenset({"1", "L", "LA", "I", "I;16", "I;16B", "I;16L", "I;16N"})
_PALETTE, _COLOUR = frozenset({"P", "PA"}), frozenset({"RGB", "RGBA", "RGBX"})
_WEIGHTS = (1 << 16, 1 << 8, 1)
VOC_BORDER = 0xE0E0C0
"""Colour of the border around objects in the palette of PASCAL VOC."""
_HEAD = 1 << 14
_MOST = 254
"""Largest number in a table of colours: 255 may mark pixels to ignore."""


@dataclass(frozen=True)
class Pixels:
    """A mask's pixels.

    Attributes:
        values: ``[H, W]``, not negative: grey values, palette indices, or colours as ``R·65536 + G·256 + B``;
            transparent pixels are :data:`CLEAR`.
        kind: what the values are.
        palette: ``[N]``, the colour of every palette index.
        clear: whether pixels are transparent.
        faint: whether pixels are partly transparent.
    """

    values: Array
    kind: Kind
    palette: NDArray[np.int64] | None = None
    clear: bool = False
    faint: bool = False


def pixels_of(decoded: Decoded, place: str, transparency: bool = True) -> Pixels:
    """The pixels of a decoded mask; all count as opaque without ``transparency``.

    Raises:
        SchemaError: their kind does not say which entity is which.
    """
    picture = decoded.image
    _check(decoded, place)
    stored: Array = np.asarray(picture) if picture.mode != "1" else np.asarray(picture.convert("L")) > 0
    if picture.mode in _COLOUR:
        values: Array = stored[..., :3].astype(np.uint32) @ np.array(_WEIGHTS, np.uint32)
    else:
        values = stored if stored.ndim == 2 else stored[..., 0]
    if values.dtype.kind == "i" and values.min() < 0:
        raise SchemaError(f"{place}: has values below 0; save it with 16 bits and indices from 0")
    kind: Kind = "colour" if picture.mode in _COLOUR else "palette" if picture.mode in _PALETTE else "grey"
    palette = _table(picture) if kind == "palette" else None
    alpha = _alpha(picture) if transparency else None
    if alpha is None or alpha.min() == 255:
        return Pixels(values, kind, palette)
    clear = alpha < _OPAQUE
    if clear.all() and (values != values[0, 0]).any():
        raise SchemaError(f"{place}: is transparent everywhere, but has several values; save it without transparency")
    faint = bool(((alpha > 0) & (alpha < 255)).any())
    return Pixels(np.where(clear, CLEAR, values.astype(np.int64)), kind, palette, bool(clear.any()), faint)


def white_of(values: Array) -> int:
    """The largest possible grey value, which is white."""
    if values.dtype.kind == "b":
        return 1
    if values.dtype.itemsize == 1:
        return 255
    return 65535 if values.max(initial=0, where=values < CLEAR) > 255 else 255


def shared_palette(files: Iterable[Path], background: int | None) -> Palette | None:
    """How to read palette pictures whose palettes may differ, from their headers alone.

    Args:
        files: all masks of a data set; those without a palette do not count.
        background: colour of the background, ``R·65536 + G·256 + B``.

    Returns:
        ``None`` if every index has one colour in all files, or if colours say nothing. Otherwise the number of every
        colour, 0 for the background; empty if there are more colours than numbers.

    Raises:
        SchemaError: palettes differ, and only some have the colour of the background.
    """
    first_of: dict[tuple[int, ...], Path] = {}
    for file in files:
        found = _palette(file)
        if found:
            first_of.setdefault(found, file)
    alike = not _differ(list(first_of))
    if alike or all(background not in one for one in first_of) or any(len(set(one)) < len(one) for one in first_of):
        return None
    lacking = next((file for one, file in first_of.items() if background not in one), None)
    if lacking:
        raise SchemaError(
            f"{lacking}: its palette differs from those of other masks, and lacks their colour of the background: if "
            "indices mean the same in all masks and 0 is the background, add --set layout.mask_values=index; if "
            "colours count, add --set layout.mask_values=colour"
        )
    colours = [colour for colour in dict.fromkeys(colour for one in first_of for colour in one) if colour != background]
    if len(colours) <= _MOST:
        return {colour: number for number, colour in enumerate(colours, 1)} | {background or 0: 0}
    return None if all(one[0] == background for one in first_of) else {}


def is_voc_border(palette: NDArray[np.int64]) -> bool:
    """Whether index 255 of a palette is the border of PASCAL VOC, whose first 21 colours it must have."""
    return bool(palette[255] == VOC_BORDER) and palette[:21].tolist() == [_voc_colour(index) for index in range(21)]


def are_voc_colours(colours: Iterable[int]) -> bool:
    """Whether colours are among the first 21 of PASCAL VOC, or its border."""
    return {*colours} <= {VOC_BORDER, *map(_voc_colour, range(21))}


def _voc_colour(index: int) -> int:
    """A colour of VOC's palette: the bits of the index in turn are the upper bits of red, green and blue."""
    red, green, blue = (sum((index >> 3 * bit + channel & 1) << 7 - bit for bit in range(3)) for channel in range(3))
    return red << 16 | green << 8 | blue


def is_lossy(path: Path, decoded: Decoded) -> bool:
    """Whether a picture was compressed so that the values of its pixels changed."""
    if decoded.format == "WEBP":
        with path.open("rb") as file:
            head = file.read(1 << 16)
        return b"VP8 " in head and b"VP8L" not in head
    return decoded.format in ("JPEG", "MPO") or decoded.image.info.get("compression") == "jpeg"


def _check(decoded: Decoded, place: str) -> None:
    mode = decoded.image.mode
    if decoded.cut:
        raise SchemaError(f"{place}: has 16 bits per colour, of which 8 would be lost; save it with 8 bits, or as grey")
    if mode not in _GREY | _PALETTE | _COLOUR:
        kind = "floating-point numbers" if mode == "F" else f"{mode} colours"
        raise SchemaError(f"{place}: its pixels are {kind}; save it as a grey, palette or RGB picture")


def _table(picture: Image.Image) -> NDArray[np.int64]:
    """The colours of all 256 indices; those without a colour are black."""
    table = np.zeros((256, 3), np.int64)
    colours = np.frombuffer(bytes(picture.getpalette("RGB") or b""), np.uint8).reshape(-1, 3)
    table[: len(colours)] = colours
    codes: NDArray[np.int64] = table @ np.array(_WEIGHTS)
    return codes


def _alpha(picture: Image.Image) -> Bytes | None:
    """Alpha ``[H, W]`` of every pixel; ``None`` if all are opaque."""
    if "A" in picture.getbands():
        return np.asarray(picture.getchannel("A"))
    clear = picture.info.get("transparency")
    if clear is None:
        return None
    if picture.mode == "P" and isinstance(clear, bytes):
        table = np.full(256, 255, np.uint8)
        table[: len(clear)] = np.frombuffer(clear, np.uint8)
        alpha: Bytes = table[np.asarray(picture)]
        return alpha
    opaque: Array = np.asarray(picture) != np.asarray(clear)
    alpha = np.full(opaque.shape[:2], 255, np.uint8)
    alpha[~(opaque if opaque.ndim == 2 else opaque.any(2))] = 0
    return alpha


def _palette(file: Path) -> tuple[int, ...]:
    """The colours of a palette, without what fills it up at the end; empty without a palette."""
    try:
        with file.open("rb") as raw:
            head = raw.read(_HEAD)
        if head.startswith(b"\x89PNG"):  # many times as fast as Pillow
            return _colours(_png_palette(head)) if head[25:26] == b"\x03" else ()
        with opened(file, str(file)) as picture:
            return _colours(bytes(picture.getpalette("RGB") or b"")) if picture.mode == "P" else ()
    except (OSError, IodineKitError):
        return ()  # reading this mask will say why


def _png_palette(head: bytes) -> bytes:
    """The palette in the beginning of a PNG."""
    start = 8
    while start + 8 <= len(head):
        length, kind = int.from_bytes(head[start : start + 4], "big"), head[start + 4 : start + 8]
        if kind == b"PLTE":
            return head[start + 8 : start + 8 + length]
        start += 12 + length
    return b""


@lru_cache(maxsize=64)
def _colours(palette: bytes) -> tuple[int, ...]:
    codes = [int.from_bytes(palette[start : start + 3], "big") for start in range(0, len(palette) // 3 * 3, 3)]
    filled = len(codes)
    while filled and codes[filled - 1] == codes[-1]:
        filled -= 1
    return tuple(codes if filled == len(codes) - 1 else codes[:filled])


def _differ(palettes: list[tuple[int, ...]]) -> bool:
    """Whether an index has several colours."""
    longest = max(palettes, key=len, default=())
    return any(one != longest[: len(one)] for one in palettes)
