"""Pictures of unknown origin, decoded by Pillow: RGB images and masks of indices."""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from iodine_kit.errors import CorruptDataError, IodineKitError, SchemaError, SourceError
from iodine_kit.records import Array, Bytes
from iodine_kit.system import refusal

if TYPE_CHECKING:
    from PIL import Image

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
_INDEXED = frozenset({"1", "L", "P", "I", "I;16", "I;16B", "I;16L", "I;16N"})


def refuse_link_outside(file: Path, folder: Path) -> None:
    """Raise :class:`SourceError` if a file is a link that leaves the folder in which it was listed."""
    if file.is_symlink() and not file.resolve().is_relative_to(folder.resolve()):
        raise SourceError(
            f"{file}: is a link to a file outside of {folder}, and such links are not followed; copy the file there"
        )


def read_rgb(path: Path, place: str) -> Bytes:
    """Return a picture as ``uint8[H, W, 3]``, rotated as its EXIF data say and without its transparency.

    Of 16 bits per channel the upper 8 are kept. ``place`` begins every error message.

    Raises:
        CorruptDataError: it is damaged, not what its name says, or too large to decode safely.
        SchemaError: it has several frames, or its values are not 8 or 16 bits of brightness.
        StorageError: the operating system refuses to read it.
    """
    return _rgb(_load(path, place), place)


def read_index(path: Path, place: str) -> Bytes:
    """Return a palette picture's indices or a grey picture's values as ``uint8[H, W]``; of black and white, 0 and 1.

    Raises:
        CorruptDataError, StorageError: as :func:`read_rgb`.
        SchemaError: it has several frames, has colours instead, or an index above 255.
    """
    picture = _load(path, place)
    _check_indexed(picture, place)
    return _index(picture, place)


def read_index_or_rgb(path: Path, place: str) -> Bytes:
    """Return :func:`read_index` of a palette or grey picture, and :func:`read_rgb` of any other."""
    picture = _load(path, place)
    return _index(picture, place) if picture.mode in _INDEXED else _rgb(picture, place)


def read_wide_index(path: Path, place: str) -> NDArray[np.int32]:
    """Return the stored indices as ``int32[H, W]``: those of :func:`read_index`, also above 255, never rotated.

    Raises:
        CorruptDataError, StorageError: as :func:`read_rgb`.
        SchemaError: it has several frames or has colours instead.
    """
    picture = _load(path, place, upright=False)
    _check_indexed(picture, place)
    return np.asarray(picture).astype(np.int32)


def index_size(path: Path, place: str) -> tuple[int, int]:
    """Height and width of what :func:`read_wide_index` returns, from the header alone; raises what that raises."""
    with _opened(path, place) as picture:
        _check_indexed(picture, place)
        return picture.height, picture.width


def _load(path: Path, place: str, upright: bool = True) -> Image.Image:
    """Decode the one picture of a file."""
    from PIL import ImageOps  # in functions, because a list of layouts loads this module and reads no file

    with _opened(path, place) as picture:
        picture.verify()  # the checksums of a PNG, which decoding skips
    with _opened(path, place) as picture:
        return ImageOps.exif_transpose(picture) if upright else picture.copy()


@contextmanager
def _opened(path: Path, place: str) -> Iterator[Image.Image]:
    """A picture whose header was checked; whatever Pillow raises meanwhile becomes an error that names the place."""
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of damaged EXIF data, for example, which do not concern the pixels
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            with Image.open(path, formats=_READ) as picture:
                _check_kind(picture, path, place)
                yield picture
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


def _check_indexed(picture: Image.Image, place: str) -> None:
    if picture.mode not in _INDEXED:
        problem = f"has {picture.mode} pixels; a mask is a grey or a palette picture of indices"
        raise SchemaError(f"{place}: {problem}, because colours do not say which entity or slot is which")


def _explain(error: Exception, place: str) -> IodineKitError:
    from PIL import UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        problem = "is not a PNG, JPEG, WebP, BMP or TIFF file, or its beginning is damaged; replace it"
        return CorruptDataError(f"{place}: {problem}")
    problem = f"{place}: this picture is truncated or altered ({error}); replace it"
    return refusal(error, place) or CorruptDataError(problem)


def _rgb(picture: Image.Image, place: str) -> Bytes:
    if picture.mode.startswith("I"):
        return np.repeat(_upper_bits(np.asarray(picture), place)[..., None], 3, axis=2)
    if picture.mode == "F":
        raise SchemaError(f"{place}: its pixels are floating-point numbers; save it with 8 bits per channel")
    picture.info.pop("transparency", None)  # otherwise Pillow warns that it is dropped
    return np.array(picture.convert("RGB"))


def _index(picture: Image.Image, place: str) -> Bytes:
    index = np.asarray(picture)
    if index.min() < 0 or index.max() > 255:
        raise SchemaError(f"{place}: has indices {index.min()} to {index.max()}; there can be at most 255 entities")
    return index.astype(np.uint8)


def _upper_bits(values: Array, place: str) -> Bytes:
    """The upper 8 of 16 bits, which Pillow may keep in 32."""
    if values.min() < 0 or values.max() > 65535:
        raise SchemaError(f"{place}: its pixels have more than 16 bits; save it with 8 bits per channel")
    return (values >> 8).astype(np.uint8)
