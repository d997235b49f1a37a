"""Pictures from files, through Pillow: RGB images and index masks, or one sentence on what is wrong with a file."""

from __future__ import annotations

import errno
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from iodine_kit.errors import CorruptDataError, IodineKitError, SchemaError, StorageError
from iodine_kit.records import Array, Bytes

_FORMATS = {
    ".png": ("PNG",),
    ".jpg": ("JPEG", "MPO"),  # MPO: what many telephones write, a JPEG followed by a preview
    ".jpeg": ("JPEG", "MPO"),
    ".webp": ("WEBP",),
    ".bmp": ("BMP",),
    ".tif": ("TIFF",),
    ".tiff": ("TIFF",),
}
SUFFIXES = frozenset(_FORMATS)
"""File names that mean a picture, in lower case."""

_READ = ("PNG", "JPEG", "WEBP", "BMP", "TIFF")  # no other decoder of Pillow's ever sees a file
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
)
_GREY = frozenset({"1", "L", "P", "I", "I;16", "I;16B", "I;16L", "I;16N"})


def read_rgb(path: Path, place: str) -> Bytes:
    """Return a picture as ``uint8[H, W, 3]``, upright as its EXIF says and without its transparency.

    Of 16 bits the upper 8 count, in grey as in colour. ``place`` begins every message.

    Raises:
        CorruptDataError: if it is damaged, not what its name says, or too large to decode safely.
        SchemaError: if it has several frames, or numbers that are no brightness.
        StorageError: if the operating system refuses to read it.
    """
    return _rgb(_load(path, place), place)


def read_index(path: Path, place: str) -> Bytes:
    """Return a palette picture's indices, or a grey one's values, as ``uint8[H, W]``; of black and white, 0 and 1.

    Raises:
        CorruptDataError, StorageError: as :func:`read_rgb`.
        SchemaError: if it has several frames, has colours instead, or an index above 255.
    """
    picture = _load(path, place)
    if picture.mode not in _GREY:
        raise SchemaError(f"{place}: has {picture.mode} pixels; indices are in a grey or a palette picture")
    return _index(picture, place)


def read_index_or_rgb(path: Path, place: str) -> Bytes:
    """Return what :func:`read_index` does of a palette or grey picture, and of others what :func:`read_rgb` does."""
    picture = _load(path, place)
    return _index(picture, place) if picture.mode in _GREY else _rgb(picture, place)


def _load(path: Path, place: str) -> Image.Image:
    """Decode the one picture of a file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of damaged EXIF data, say, which does not concern the pixels
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            with Image.open(path, formats=_READ) as picture:
                _check_kind(picture, path, place)
                picture.verify()  # the checksums of a PNG, which decoding passes over
            with Image.open(path, formats=_READ) as picture:
                return ImageOps.exif_transpose(picture)
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
        raise SchemaError(f"{place}: has {frames} frames; save those that you want as files of their own")


def _explain(error: Exception, place: str) -> IodineKitError:
    if isinstance(error, UnidentifiedImageError):
        problem = "is no PNG, JPEG, WebP, BMP or TIFF file, or its beginning is damaged; replace it"
        return CorruptDataError(f"{place}: {problem}")
    # The operating system's have a number, Pillow's own have none; a damaged offset leads to a place that is none.
    if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
        return StorageError(f"{place}: cannot be read ({error.strerror}); check the file and its permissions")
    return CorruptDataError(f"{place}: this picture is truncated or altered ({error}); replace it")


def _rgb(picture: Image.Image, place: str) -> Bytes:
    if picture.mode.startswith("I"):
        return np.repeat(_upper_bits(np.asarray(picture), place)[..., None], 3, axis=2)
    if picture.mode == "F":
        raise SchemaError(f"{place}: its pixels are floating-point numbers; save it with 8 bits per channel")
    picture.info.pop("transparency", None)  # or Pillow warns that it is dropped
    return np.array(picture.convert("RGB"))


def _index(picture: Image.Image, place: str) -> Bytes:
    index = np.asarray(picture)
    if index.min() < 0 or index.max() > 255:
        raise SchemaError(f"{place}: has indices {index.min()} to {index.max()}; there can be 255 entities at most")
    return index.astype(np.uint8)


def _upper_bits(values: Array, place: str) -> Bytes:
    """The upper 8 of 16 bits, which Pillow may keep in 32."""
    if values.min() < 0 or values.max() > 65535:
        raise SchemaError(f"{place}: its pixels have more than 16 bits; save it with 8 bits per channel")
    return (values >> 8).astype(np.uint8)
