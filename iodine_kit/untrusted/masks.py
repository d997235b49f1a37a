"""Masks of unknown origin, decoded by Pillow: grey, palette and colour pictures of any depth become index masks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from iodine_kit.errors import SchemaError
from iodine_kit.records import IGNORED, IN_ALL, Bytes
from iodine_kit.untrusted.mask_meaning import (
    LARGEST,
    MaskOptions,
    Meaning,
    background_code,
    colours,
    indices,
    refuse_doubtful,
    refuse_many,
)
from iodine_kit.untrusted.mask_pixels import CLEAR, Palette, Pixels, is_lossy, pixels_of, white_of
from iodine_kit.untrusted.mask_values import (
    NO_BACKGROUND,
    Flags,
    Numbered,
    absorb_small,
    by_appearance,
    by_value,
    distinct,
    implausible,
    remaining,
    smooth_edges,
)
from iodine_kit.untrusted.pictures import Picture, load, opened, turned

_HALF = 128
"""Pixels of a binary mask that differ as much from the background, of 255, are the object."""
_INVERSE = (
    "the only object of the mask is white and surrounds everything; if white is the background, add --set "
    "layout.background=#ffffff"
)


@dataclass(frozen=True)
class Mask:
    """A mask that was read.

    Attributes:
        index: ``uint8[H, W]``: 0 for the background, 1 to 255 for entities.
        ignored: whether :data:`~iodine_kit.records.IGNORED` in it marks pixels to ignore.
        remarks: what users should know about it, each in a constant phrase.
    """

    index: Bytes
    ignored: bool = False
    remarks: tuple[str, ...] = ()


def read_mask(
    path: Path, place: str, options: MaskOptions, image: Picture | None = None, palette: Palette | None = None
) -> Mask:
    """Read a mask.

    Args:
        place: begins every error message.
        image: the image of the mask, which may have been turned.
        palette: what :func:`~iodine_kit.untrusted.mask_pixels.shared_palette` returns for all masks of the data set.

    Raises:
        CorruptDataError: it is damaged, not what its name says, or too large to decode safely.
        SchemaError: it has several frames, more entities than there are numbers, or values with two readings; the
            message names an option for each.
        StorageError: the operating system refuses to read it.
    """
    decoded = load(path, place)
    binary = options.mask_values == "binary"
    if not binary and is_lossy(path, decoded):
        raise SchemaError(
            f"{place}: its compression changes the values of pixels; save masks as PNG, or, if every mask is one "
            "object, add --set layout.mask_values=binary"
        )
    pixels = pixels_of(decoded, place)
    mask = _binary(pixels, options, place) if binary else _numbered(pixels, options, palette, place)
    if pixels.faint:
        faint = "the mask has partly transparent pixels; those below half of full alpha are background"
        mask = replace(mask, remarks=(*mask.remarks, faint))
    if image and image.orientation != 1 and decoded.orientation == 1:
        return _turn(mask, image, options, place)
    return mask


def read_index(path: Path, place: str) -> Bytes:
    """Return a palette picture's indices or a grey picture's values as ``uint8[H, W]``; of black and white, 0 and 1.

    Raises:
        CorruptDataError, StorageError: as :func:`read_mask`.
        SchemaError: it has several frames, has colours instead, or an index above 255.
    """
    pixels = pixels_of(load(path, place), place, transparency=False)
    if pixels.kind == "colour":
        raise SchemaError(f"{place}: has RGB pixels; a mask here is a grey or a palette picture of indices")
    index = pixels.values
    if index.max() > 255:
        raise SchemaError(f"{place}: has indices up to {index.max()}; there can be at most 255 entities")
    return index.astype(np.uint8)


def read_labels(path: Path, place: str) -> NDArray[np.int64]:
    """Return the labels of a predicted mask, ``int64[H, W]`` from 0, as they are stored, even if EXIF data turn them.

    A grey value or palette index is a label; transparent pixels have label 0. Colours are numbered in the order of
    appearance, row by row from the top left: black is 0, the others count from 1.

    Raises:
        CorruptDataError, StorageError: as :func:`read_mask`.
        SchemaError: it has several frames, or pixels that are neither numbers nor colours.
    """
    pixels = pixels_of(load(path, place, upright=False), place)
    if pixels.kind != "colour":
        return np.where(pixels.values == CLEAR, 0, pixels.values.astype(np.int64))
    mask = distinct(pixels.values)
    return mask.replaced(by_appearance(mask, ~mask.among((0, CLEAR))))


def stored_size(path: Path, place: str) -> tuple[int, int]:
    """Height and width of what :func:`read_labels` returns, from the header alone; raises the same errors."""
    with opened(path, place) as picture:
        return picture.height, picture.width


def _numbered(pixels: Pixels, options: MaskOptions, palette: Palette | None, place: str) -> Mask:
    """A mask of indices or of colours."""
    values = options.mask_values
    by_index = values == "index" or (values == "auto" and pixels.kind != "colour")
    if values == "auto" and pixels.kind == "palette" and palette is not None:
        by_index = False
    if by_index:
        mask = distinct(pixels.values)
        meaning = indices(pixels, mask.value, options, place)
    else:
        meaning = colours(pixels, options, place)
        mask = distinct(meaning.values)
    meaning = _silhouette(mask, meaning) if pixels.clear and values != "index" else meaning
    grey = pixels.kind == "grey"
    mask, leftover = _without_small(mask, meaning, options, grey, place)
    entities, ignored = meaning.entities(mask), mask.among(meaning.ignored)
    smooth = smooth_edges(mask, entities, meaning.channels, grey)
    if values == "auto" and not (pixels.kind == "palette" and meaning.rgb):
        refuse_doubtful(mask, entities, smooth, options, place, pixels.kind)
    most = IGNORED - 1 if meaning.ignored else IGNORED
    refuse_many(mask, entities, most, place)
    if by_index:
        table = _index_table(mask, entities, LARGEST if values == "auto" else most)
    else:
        table = _colour_table(mask, entities, palette if values == "auto" else None)
    index: Bytes = mask.replaced(np.where(ignored, IGNORED, table).astype(np.uint8))
    remarks = [
        *meaning.remarks,
        *leftover,
        *_without_effect(mask, meaning, options),
        *implausible(mask, entities, ignored, smooth, "#ffffff" if meaning.rgb else "255"),
        *_inverse(pixels, mask, entities, index),
    ]
    if by_index and np.count_nonzero(entities) > 1 and not np.array_equal(table[entities], mask.value[entities]):
        remarks.append("the mask has large values; its entities are numbered from 1, in the order of their values")
    return Mask(index, bool(ignored.any()), tuple(remarks))


def _without_effect(mask: Numbered, meaning: Meaning, options: MaskOptions) -> Iterator[str]:
    """The options that name no pixel of a mask, as remarks that matter if they name none in any mask."""
    if options.ignored != (frozenset(), frozenset()) and not mask.among(meaning.ignored).any():
        yield f"{IN_ALL}no pixel of a mask has layout.ignore={options.ignore}; check it"
    if options.background not in ("none", "#000000", "0") and not mask.among(meaning.background).any():
        yield f"{IN_ALL}no pixel of a mask has layout.background={options.background}; check it"


def _without_small(
    mask: Numbered, meaning: Meaning, options: MaskOptions, grey: bool, place: str
) -> tuple[Numbered, tuple[str, ...]]:
    """A mask without entities of fewer than ``min_pixels`` pixels, and a remark if others look like smooth edges."""
    if not options.min_pixels:
        return mask, ()
    entities = meaning.entities(mask)
    remark = remaining(mask, smooth_edges(mask, entities, meaning.channels, grey), options.min_pixels)
    return absorb_small(mask, entities, options.min_pixels, place), (remark,) if remark else ()


def _inverse(pixels: Pixels, mask: Numbered, entities: Flags, index: Bytes) -> tuple[str, ...]:
    """A remark, if the only entity is white and has all pixels at the border of the image, but not all inside."""
    white = {"grey": white_of(pixels.values), "colour": 0xFFFFFF, "palette": -1}[pixels.kind]
    if mask.value[entities].tolist() != [white] or index.all():
        return ()
    border = (index[0], index[-1], index[:, 0], index[:, -1])
    return (_INVERSE,) if all(side.all() for side in border) else ()


def _silhouette(mask: Numbered, meaning: Meaning) -> Meaning:
    """What the colour of the background means in a picture that has transparent pixels, too."""
    dark = mask.among(meaning.background)
    if not dark.any():
        return meaning
    if not meaning.entities(mask).any():
        return replace(meaning, background=frozenset())
    text = (
        "transparent pixels and those with the colour of the background are both background; if only the former are, "
        "add --set layout.background=none"
    )
    return replace(meaning, remarks=(*meaning.remarks, text))


def _index_table(mask: Numbered, entities: Flags, largest: int) -> NDArray[np.int64]:
    """The numbers of values: the values if they are from 1 to ``largest``, otherwise from 1 in their order."""
    found = mask.value[entities]
    if len(found) and found[0] > 0 and found[-1] <= largest:
        return np.where(entities, mask.value, 0)
    return by_value(entities)


def _colour_table(mask: Numbered, entities: Flags, palette: Palette | None) -> NDArray[np.int64]:
    """The numbers of colours: those of a table for all masks, if there is one, otherwise in the order of appearance."""
    if not palette:
        return by_appearance(mask, entities)
    table = np.array([palette.get(int(value), 0) for value in mask.value])
    lacking = entities & (table == 0)  # colours at the end of a palette that looked like what fills it up
    table[lacking] = max(palette.values()) + np.arange(1, np.count_nonzero(lacking) + 1)
    return np.where(entities, table, 0)


def _binary(pixels: Pixels, options: MaskOptions, place: str) -> Mask:
    """One object."""
    meaning = colours(pixels, options, place)
    mask, background = distinct(meaning.values), background_code(pixels, options)
    ignored = mask.among(meaning.ignored)
    if pixels.clear or background is None:
        objects = mask.value < CLEAR
    else:
        channels = meaning.channels(mask.value)
        full = 255 if channels.shape[1] == 3 else meaning.white
        behind = np.array([background >> 16, background >> 8 & 255, background & 255])
        if channels.shape[1] == 1:
            behind = np.array([background * 255 // full if options.background_value is not None else background & 255])
        distance = abs(channels * 255 // full - behind).max(1)
        objects = distance >= _HALF
        if not objects.any() and distance.any():
            raise SchemaError(
                f"{place}: no pixel differs from {options.background} by half of the range, so layout.mask_values="
                "binary finds no object; if its values are indices, set layout.mask_values=index"
            )
    index: Bytes = mask.replaced(np.where(ignored, IGNORED, objects).astype(np.uint8))
    remarks = (f"{NO_BACKGROUND}: one object fills the image",) if objects.any() and (objects | ignored).all() else ()
    return Mask(index, bool(ignored.any()), remarks)


def _turn(mask: Mask, image: Picture, options: MaskOptions, place: str) -> Mask:
    """Turn a mask like its image if it is stored like the image's file; sizes or the option tell."""
    size, upright = mask.index.shape, image.pixels.shape[:2]
    stored = upright[::-1] if image.orientation >= 5 else upright
    if size != stored:
        return mask
    index = turned(mask.index, image.orientation)
    if stored == upright and options.turn != "masks-too":
        if options.turn == "images" or np.array_equal(index, mask.index):
            return mask
        raise SchemaError(
            f"{place}: its image was turned as its EXIF orientation says, and sizes do not tell whether the mask is "
            "stored in the same way: if it must be turned with the image, add --set layout.turn=masks-too; if it is "
            "upright already, add --set layout.turn=images"
        )
    return replace(mask, index=index, remarks=(*mask.remarks, "the mask was turned with its image"))
