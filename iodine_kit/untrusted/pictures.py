"""Pictures of unknown origin, decoded by Pillow; :mod:`iodine_kit.untrusted.masks` reads masks."""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from iodine_kit.errors import CorruptDataError, IodineKitError, SchemaError, SourceError
from iodine_kit.records import IN_ALL, Array, Bytes
from iodine_kit.system import refusal

if TYPE_CHECKING:
    from PIL import Image

_FORMATS = {
    ".png": ("PNG",),
    ".jpg": ("JPEG", "MPO"),  # MPO: what many telephones write, a JPEG followed by a preview
    ".jpeg": ("JPEG", "MPO"),
    **dict.fromkeys((".jpe", ".jfif", ".jfi", ".jif"), ("JPEG", "MPO")),
    ".webp": ("WEBP",),
    ".bmp": ("BMP",),
    ".tif": ("TIFF",),
    ".tiff": ("TIFF",),
}
SUFFIXES = frozenset(_FORMATS)
"""File names that mean a picture, in lower case."""

_READ = ("PNG", "JPEG", "WEBP", "BMP", "TIFF")  # Pillow's other decoders never see a file
_BROKEN = (
    OSError,
    EOFError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    struct.error,
    zlib.error,
    MemoryError,
)
_CONVERTED = frozenset({"1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBX", "RGBa", "CMYK", "YCbCr", "HSV"})
_ORIENTATION = 0x0112
_GAMMA = 0.45455
_SRGB = (b"sRGB", "sRGB".encode("utf-16-be"))


def refuse_link_outside(file: Path, folder: Path) -> None:
    """Raise :class:`SourceError` if a file is a link that leaves the folder in which it was listed."""
    if file.is_symlink() and not file.resolve().is_relative_to(folder.resolve()):
        raise SourceError(
            f"{file}: is a link to a file outside of {folder}, and such links are not followed; copy the file there"
        )


@dataclass(frozen=True)
class Decoded:
    """The one picture of a file, as Pillow decodes it.

    Attributes:
        image: upright, unless it was loaded otherwise.
        orientation: EXIF's number, 1 to 8, of how it is turned to be upright; 1 means not at all.
        cut: whether its colours have 16 bits per channel, of which Pillow keeps only the upper 8.
        format: Pillow's name of the format.
    """

    image: Image.Image
    orientation: int
    cut: bool
    format: str


@dataclass(frozen=True)
class Picture:
    """A picture as colours.

    Attributes:
        pixels: ``uint8[H, W, 3]``, upright.
        orientation: as in :class:`Decoded`.
        remarks: what users should know about it, each in a constant phrase.
    """

    pixels: Bytes
    orientation: int = 1
    remarks: tuple[str, ...] = ()


def read_rgb(path: Path, place: str) -> Bytes:
    """Return the pixels of :func:`read_picture`, which raises the same errors."""
    decoded = load(path, place)
    return _rgb(decoded, place, 16)


def read_picture(path: Path, place: str, bits: int = 16) -> Picture:
    """Return a picture as ``uint8[H, W, 3]``, rotated as its EXIF data say and without its transparency.

    Of grey values of more than 8 bits, the upper 8 of ``bits`` are kept; of 16 bits per colour, the upper 8. ``place``
    begins every error message.

    Raises:
        CorruptDataError: it is damaged, not what its name says, or too large to decode safely.
        SchemaError: it has several frames, or its values are not 8 or ``bits`` bits of brightness.
        StorageError: the operating system refuses to read it.
    """
    decoded = load(path, place)
    pixels = _rgb(decoded, place, bits)
    return Picture(pixels, decoded.orientation, tuple(_remarks(decoded, pixels, bits)))


def load(path: Path, place: str, upright: bool = True) -> Decoded:
    """Decode the one picture of a file; ``upright`` turns it as its EXIF data say.

    Raises the errors of :func:`read_picture`, except those of its values.
    """
    from PIL import Image, ImageOps  # in functions, because a list of layouts loads this module and reads no file

    with _guarded(place):
        with Image.open(path, formats=_READ) as picture:
            _check_kind(picture, path, place)
            picture.verify()  # the checksums of a PNG, which decoding skips
        with Image.open(path, formats=_READ) as picture:
            cut = picture.mode[:1] != "I" and ";16" in str(getattr(picture, "tile", [])[:1])
            orientation = picture.getexif().get(_ORIENTATION, 1)
            kind = picture.format or ""
            picture.load()
            if upright:
                ImageOps.exif_transpose(picture, in_place=True)
    return Decoded(picture, orientation if orientation in range(2, 9) else 1, cut, kind)


def turned(pixels: Array, orientation: int) -> Array:
    """Turn ``[H, W, …]`` as EXIF's ``orientation`` says; 1 leaves it as it is."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


@contextmanager
def opened(path: Path, place: str) -> Iterator[Image.Image]:
    """A picture with a checked header; raises the errors of :func:`load`."""
    from PIL import Image

    with _guarded(place), Image.open(path, formats=_READ) as picture:
        _check_kind(picture, path, place)
        yield picture


@contextmanager
def _guarded(place: str) -> Iterator[None]:
    """Turn whatever Pillow raises into an error that names the place."""
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of damaged EXIF data, for example, which do not concern the pixels
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            yield
        except (Image.DecompressionBombError, Image.DecompressionBombWarning):
            problem = "has too many pixels to be decoded safely, or its header is altered; scale it down"
            raise CorruptDataError(f"{place}: {problem}") from None
        except _BROKEN as error:
            raise _explain(error, place) from error


def _check_kind(picture: Image.Image, path: Path, place: str) -> None:
    if picture.format not in _FORMATS.get(path.suffix.lower(), ()):
        problem = f"holds {picture.format} data under the name of another format; rename it or save it again"
        raise CorruptDataError(f"{place}: {problem}")
    frames = getattr(picture, "n_frames", 1)
    if frames > 1 and picture.format != "MPO":
        raise SchemaError(f"{place}: has {frames} frames; save each frame that you need as a file of its own")


def _explain(error: Exception, place: str) -> IodineKitError:
    from PIL import UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        problem = "is not a PNG, JPEG, WebP, BMP or TIFF file, or its beginning is damaged; replace it"
        return CorruptDataError(f"{place}: {problem}")
    problem = f"{place}: this picture is truncated or altered ({error}); replace it"
    return refusal(error, place) or CorruptDataError(problem)


def _rgb(decoded: Decoded, place: str, bits: int) -> Bytes:
    picture = decoded.image
    if picture.mode.startswith("I"):
        return np.repeat(_upper_bits(np.asarray(picture), bits, place)[..., None], 3, axis=2)
    if decoded.cut and bits != 16:
        problem = f"layout.bits = {bits} is for grey pictures, and this one has 16 bits per colour"
        raise SchemaError(f"{place}: {problem}; save it with 8 bits per channel")
    if picture.mode not in _CONVERTED:
        kind = "floating-point numbers" if picture.mode == "F" else f"{picture.mode} colours, which have no exact RGB"
        raise SchemaError(f"{place}: its pixels are {kind}; save it as RGB or grey with 8 bits per channel")
    if picture.mode == "RGB":
        return np.array(picture)
    picture = picture.copy()
    picture.info.pop("transparency", None)  # otherwise Pillow warns that it is dropped
    return np.array(picture.convert("RGB"))


def _upper_bits(values: Array, bits: int, place: str) -> Bytes:
    """The upper 8 of ``bits`` bits, which Pillow may keep in 32."""
    lowest, highest = int(values.min()), int(values.max())
    if lowest < 0 or highest > 65535:
        raise SchemaError(
            f"{place}: has values from {lowest} to {highest}, not from 0 to 65535; save it with 8 bits per channel"
        )
    if highest >> bits:
        least = highest.bit_length()
        problem = f"has values up to {highest}, which do not fit in layout.bits = {bits}"
        raise SchemaError(f"{place}: {problem}; set layout.bits={least}{' or more' if least < 16 else ''}")
    return (values >> (bits - 8)).astype(np.uint8)


def _remarks(decoded: Decoded, pixels: Bytes, bits: int) -> Iterator[str]:
    """What users should know about a picture. Texts are constant, so that equal ones can be counted."""
    picture, info = decoded.image, decoded.image.info
    if decoded.orientation != 1:
        yield "the image was turned, as its EXIF orientation says"
    yield from _about_bits(decoded, bits)
    if _is_transparent(picture):
        yield "the image has transparent pixels; transparency is dropped, and their hidden colours are used"
    if picture.mode == "CMYK":
        yield "the image has CMYK colours, which are converted to RGB without a colour profile"
    if info.get("icc_profile") and not any(name in info["icc_profile"] for name in _SRGB):
        yield "the image has a colour profile other than sRGB, which is not applied"
    if "srgb" not in info and abs(info.get("gamma", _GAMMA) - _GAMMA) > 0.01:
        yield f"the image has a gamma other than 1/{1 / _GAMMA:.1f}, which is not applied"
    if (pixels[0] == pixels[0, 0]).all() and (pixels == pixels[0, 0]).all():
        yield "the image has the same colour in all pixels"


def _about_bits(decoded: Decoded, bits: int) -> Iterator[str]:
    """Whether a picture has other bits than were given."""
    has_16 = decoded.image.mode.startswith("I") or decoded.cut
    if bits == 16 and has_16:
        yield from _dark(np.asarray(decoded.image), decoded.cut)
    if bits != 16 and not has_16:
        yield f"{IN_ALL}the image has 8 bits, so layout.bits={bits} has no effect"


def _dark(values: Array, cut: bool) -> Iterator[str]:
    """Whether a picture uses less than a quarter of 16 bits, of which a ``cut`` one has only the upper 8 left."""
    highest = int(values.max()) << (8 if cut else 0)
    if not 0 < highest < 1 << 14:
        return
    bits = next(bits for bits in (8, 10, 12, 14) if highest < 1 << bits)
    remedy = (
        "save it with 8 bits per channel"
        if cut
        else f"if they have {bits} bits, add --set layout.bits={bits} (if notes differ, the largest number)"
    )
    yield f"the image has 16 bits, but its brightest value is below {1 << bits:,} of 65,536, so it is dark; {remedy}"


def _is_transparent(picture: Image.Image) -> bool:
    """Whether a pixel is not opaque."""
    if "transparency" in picture.info and not picture.mode.startswith("I"):
        picture = picture.convert("RGBA")
    return "A" in picture.getbands() and int(np.asarray(picture.getchannel("A")).min()) < 255
