"""What the values of a mask mean: the options, the background, the pixels to ignore, and what has two readings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field

from iodine_kit.config import Config
from iodine_kit.errors import SchemaError
from iodine_kit.records import Array
from iodine_kit.untrusted.mask_pixels import CLEAR, VOC_BORDER, Kind, Pixels, are_voc_colours, is_voc_border, white_of
from iodine_kit.untrusted.mask_values import Flags, Numbered, Smooth, small_limit, smooth_remedy, some_of

LARGEST = 63
"""Largest value of a grey mask that is surely an index; ``mask_values=auto`` keeps values up to it as they are."""
_IGNORED_INDEX = CLEAR + 1
"""Instead of the colour of palette indices to ignore."""
_VOC = "the mask has the colours of PASCAL VOC; its border marks pixels to ignore"
_SAME_COLOUR = (
    "indices with the same colour in the palette are separate entities, and index 0 is the background; if every colour "
    "is one entity, add --set layout.mask_values=colour"
)
_COLOUR = "#[0-9a-fA-F]{6}"
_ONE = rf"(\d{{1,10}}|{_COLOUR})"


def _listed(value: Any) -> Any:
    """A number or a list, as TOML and ``--set`` give them, as text."""
    values = value if isinstance(value, list | tuple) else [value]
    return ",".join(str(one) for one in values) if all(type(one) in (int, str) for one in values) else value


class MaskOptions(Config):
    """What the pixels of a mask mean.

    Attributes:
        mask_values: ``index``: the grey value, or the index of a palette picture, is the entity, and 0 is the
            background; ``colour``: every colour or shade but ``background`` is an entity, numbered from 1 in the order
            of appearance, row by row from the top left; ``binary``: one object, the pixels that differ from
            ``background`` by half of the range or more, or the opaque pixels of a picture with transparency; ``auto``:
            indices for grey and palette pictures, colours for others; refuses a mask with two readings.
        background: colour of the background, as ``#rrggbb``, or its value in index masks, such as ``7``; ``none`` if
            only transparent pixels are background.
        ignore: pixels to ignore: a value of index masks or a colour, or several with commas, such as ``254,#ffffff``.
            Defaults to the border in pictures with the palette of PASCAL VOC; ``none`` ignores no pixels.
        min_pixels: pixels of entities with fewer pixels than this belong to the nearest larger entity, or to the
            background; 0 keeps all entities.
        turn: masks of images that are turned as their EXIF orientation says, if sizes do not tell how masks are stored:
            ``masks-too`` turns them like their images, ``images`` turns only the images.
    """

    mask_values: Literal["auto", "index", "colour", "binary"] = "auto"
    background: Annotated[str, BeforeValidator(_listed), Field(pattern=f"^({_ONE}|none)$")] = "#000000"
    ignore: Annotated[str, BeforeValidator(_listed), Field(pattern=f"^(none|{_ONE}(, *{_ONE})*)?$")] = ""
    min_pixels: Annotated[int, Field(ge=0)] = 0
    turn: Literal["auto", "masks-too", "images"] = "auto"

    @property
    def background_colour(self) -> int | None:
        """``R·65536 + G·256 + B``; ``None`` if no colour is background, or if a value is."""
        return int(self.background[1:], 16) if self.background.startswith("#") else None

    @property
    def background_value(self) -> int | None:
        """The value that is background in index masks, if it was given."""
        return int(self.background) if self.background.isdecimal() else None

    @property
    def ignored(self) -> tuple[frozenset[int], frozenset[int]]:
        """The values and the colours to ignore."""
        texts = [] if self.ignore in ("", "none") else [one.strip() for one in self.ignore.split(",")]
        colours = frozenset(int(one[1:], 16) for one in texts if one.startswith("#"))
        return frozenset(int(one) for one in texts if not one.startswith("#")), colours


@dataclass(frozen=True)
class Meaning:
    """How the values of a mask are understood.

    Attributes:
        values: ``[H, W]``, of which each is an entity, background or to ignore.
        background: values that are background, beside transparent pixels.
        ignored: values to ignore.
        palette: ``[N]``, the colours of values that are indices of a palette.
        rgb: whether values are colours.
        remarks: what users should know, in constant phrases.
    """

    values: Array
    background: frozenset[int]
    ignored: frozenset[int]
    palette: NDArray[np.int64] | None = None
    rgb: bool = False
    remarks: tuple[str, ...] = ()

    def entities(self, mask: Numbered) -> Flags:
        """Which values of a mask ``[K]`` are entities."""
        return ~mask.among({*self.background, *self.ignored, CLEAR})

    @property
    def white(self) -> int:
        """The largest possible grey value."""
        return white_of(self.values)

    def channels(self, values: NDArray[np.int64]) -> NDArray[np.int64]:
        """Colours ``[K, 3]`` or grey values ``[K, 1]``; transparent pixels are black."""
        opaque = np.where(values < CLEAR, values, 0)
        codes = opaque if self.palette is None else self.palette[opaque]
        if not self.rgb and self.palette is None:
            return codes[:, None]
        return np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=1)


def indices(pixels: Pixels, values: NDArray[np.int64], options: MaskOptions, place: str) -> Meaning:
    """The ``values`` that ``pixels`` have as numbers of entities.

    Raises:
        SchemaError: they are colours, or it is unclear which index is the background.
    """
    if pixels.kind == "colour":
        raise SchemaError(
            f"{place}: has RGB pixels; layout.mask_values=index requires a grey or a palette picture of indices; if "
            "every colour is an entity, set layout.mask_values=colour"
        )
    (ignored, colours), remarks = options.ignored, list[str]()
    if pixels.palette is not None:
        used = values[values < CLEAR]
        background = _given(options) or _background_indices(pixels.palette, used, options, place)
        ignored |= {int(index) for index in used if int(pixels.palette[index]) in colours}
        if options.ignore == "" and 255 in used and is_voc_border(pixels.palette):
            ignored |= {255}
            remarks.append(_VOC)
        if options.mask_values == "auto" and _repeats(pixels.palette[used]):
            remarks.append(_SAME_COLOUR)
    else:
        background = _given(options) or _shades(options.background_colour, pixels.values, "background", options, place)
        ignored = ignored.union(*(_shades(one, pixels.values, "ignore", options, place) for one in colours))
    return Meaning(pixels.values, background - ignored, ignored, pixels.palette, False, tuple(remarks))


def colours(pixels: Pixels, options: MaskOptions, place: str) -> Meaning:
    """Values as colours or shades of entities; raises :class:`SchemaError` for options that they cannot have."""
    values, (indices_to_ignore, ignored) = pixels.values, options.ignored
    background = background_code(pixels, options)
    if pixels.palette is not None:
        codes = pixels.palette[values & 255]
        values = np.where(values < CLEAR, codes, values) if pixels.clear else codes
        values = np.where(np.isin(pixels.values, list(indices_to_ignore)), _IGNORED_INDEX, values)
        ignored |= {_IGNORED_INDEX}
    elif pixels.kind == "grey":
        ignored = indices_to_ignore.union(*(_shades(one, values, "ignore", options, place) for one in ignored))
        shades = _given(options) or _shades(background, values, "background", options, place)
        return Meaning(values, shades - ignored, ignored)
    else:
        _refuse_values(options, place)
    remarks: tuple[str, ...] = ()
    border = values == VOC_BORDER
    if options.ignore == "" and border.any() and are_voc_colours(np.unique(values[~border]).tolist()):
        ignored, remarks = ignored | {VOC_BORDER}, (_VOC,)
    shown = frozenset(() if background is None else (background,))
    return Meaning(values, shown - ignored, ignored, rgb=True, remarks=remarks)


def background_code(pixels: Pixels, options: MaskOptions) -> int | None:
    """The colour of the background, ``R·65536 + G·256 + B``; of grey pixels, the value if that was given."""
    value = options.background_value
    if value is None:
        return options.background_colour
    return value if pixels.palette is None else int(pixels.palette[min(value, 255)])


def _given(options: MaskOptions) -> frozenset[int]:
    """The value that is background, if a value was given."""
    value = options.background_value
    return frozenset(() if value is None else (value,))


def _refuse_values(options: MaskOptions, place: str) -> None:
    """Raise :class:`SchemaError` if options give colours values, and none of them is a colour."""
    values, ignored = options.ignored
    only_values = {"ignore": bool(values and not ignored), "background": options.background_value is not None}
    for option, wrong in only_values.items():
        if wrong:
            raise SchemaError(
                f"{place}: has RGB pixels, and layout.{option}={getattr(options, option)} is a value of index masks; "
                f"give a colour, such as layout.{option}=#ffffff"
            )


def _refuse_grey_indices(mask: Numbered, entities: Flags, options: MaskOptions, place: str) -> None:
    """Raise :class:`SchemaError` if colours are indices, saved in three equal channels, and 255 can mean to ignore."""
    shades, rest = np.divmod(mask.value[entities], 0x010101)
    indices_and_255 = len(shades) > 1 and not rest.any() and shades[-1] == 255 and 0 < shades[-2] <= LARGEST
    if indices_and_255 and not options.ignore and options.background_colour == 0:
        raise SchemaError(
            f"{place}: has grey pixels with the values {some_of(shades)} in three channels; if 255 marks pixels to "
            "ignore, add --set layout.ignore=#ffffff; if every value is an entity, add --set "
            f"layout.mask_values=colour; if 255 is the background, add --set layout.background=#ffffff"
        )


def refuse_doubtful(
    mask: Numbered, entities: Flags, smooth: Smooth, options: MaskOptions, place: str, kind: Kind
) -> None:
    """Raise :class:`SchemaError` if the values of a mask have two readings."""
    if kind == "colour":
        _refuse_grey_indices(mask, entities, options, place)
        return
    found = mask.value[entities]
    if len(found) < 2 or found[-1] <= LARGEST:
        return
    one_object = "if it shows one object, add --set layout.mask_values=binary; "
    if smooth:
        every = "if every value is an entity, add --set layout.mask_values=index"
        other = every if len(found) <= 254 else "otherwise save it without"
        remedy = smooth_remedy(smooth) if _is_clear(mask, entities & ~smooth.thin) else ""
        raise SchemaError(f"{place}: has {smooth.words}; {one_object}{other}{remedy}")
    top = 255 if found[-1] <= 255 else 65535
    asks = not options.ignore and (options.background_colour == 0 or options.background_value is not None)
    if found[-1] == top and asks:
        white = f"; if {top} is the background, add --set layout.background={top}"
        noise = one_object if 2 * np.count_nonzero(smooth.thin) >= len(found) else ""
        raise SchemaError(
            f"{place}: has the values {some_of(found)}; {noise}if {top} marks pixels to ignore, add --set "
            f"layout.ignore={top}; if every value is an entity, add --set layout.mask_values=index"
            f"{white if kind == 'grey' else ''}"
        )


def refuse_many(mask: Numbered, entities: Flags, most: int, place: str) -> None:
    """Raise :class:`SchemaError` if there are more entities than ``most``."""
    count = int(np.count_nonzero(entities))
    if count > most:
        kinds = "colours or values besides the background"
        problem = f"has {count} {kinds}, and there can be at most {most} entities"
        raise SchemaError(f"{place}: {problem}; save it without smooth edges (anti-aliasing){_repair(mask, entities)}")


def _repair(mask: Numbered, entities: Flags) -> str:
    """The remedy that omits entities of a few pixels, if it leaves a mask that can be read."""
    limit = small_limit(mask.shape)
    clear = _is_clear(mask, entities & (mask.pixels > limit))
    return f", or add --set layout.min_pixels={limit + 1}" if clear else ""


def _is_clear(mask: Numbered, entities: Flags) -> bool:
    """Whether a grey mask of these entities alone can be read."""
    left = mask.value[entities]
    return len(left) == 1 or (1 < len(left) <= 254 and left[-1] not in (255, 65535))


def _repeats(shown: NDArray[np.int64]) -> bool:
    """Whether colours differ, but not all."""
    return 1 < len(set(shown.tolist())) < len(shown)


def _background_indices(palette: NDArray[np.int64], used: Array, options: MaskOptions, place: str) -> frozenset[int]:
    """The indices of a palette that are background."""
    colour = options.background_colour
    if colour is None:
        return frozenset()
    same = frozenset(int(index) for index in used if palette[index] == colour)
    if options.mask_values == "index" and colour == 0:
        return frozenset({0})
    if colour != 0:
        return same
    shown = palette[used]
    if 0 not in used:
        return same | {0} if len(set(shown.tolist())) == len(shown) else frozenset({0})
    if palette[0] == colour or not same or len(set(shown.tolist())) < len(shown):
        return frozenset({0})
    raise SchemaError(
        f"{place}: index 0 of its palette is #{palette[0]:06x}, and index {min(same)} is {options.background}, the "
        "colour of the background: if index 0 is the background, add --set layout.mask_values=index; if "
        f"{options.background} is, add --set layout.mask_values=colour"
    )


def _shades(colour: int | None, values: Array, option: str, options: MaskOptions, place: str) -> frozenset[int]:
    """A colour as the grey value with the same brightness; none for no colour."""
    if colour is None:
        return frozenset()
    shade, full = colour & 255, white_of(values)
    if colour != shade * 0x010101:
        problem = f"is grey, and #{colour:06x} (layout.{option}) is not a shade of grey"
        raise SchemaError(f"{place}: {problem}; give a shade of grey, such as #ffffff")
    exact = shade * full // 255
    if exact != shade and (values == shade).any() and not (values == exact).any():
        code, given = f"#{colour:06x}", str(getattr(options, option)).lower()
        small, large = (f"add --set layout.{option}={given.replace(code, str(value))}" for value in (shade, exact))
        raise SchemaError(
            f"{place}: has 16 bits, where {code} (layout.{option}) is {exact}, and has the value {shade} instead; if "
            f"{shade} is meant, {small}; if not, {large}"
        )
    return frozenset((exact,))
