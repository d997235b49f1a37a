"""Arguments of the Python interface: arrays, and which artifact a name means; errors name the argument."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from iodine_kit.config import Values, merge
from iodine_kit.errors import (
    ArtifactNotFoundError,
    ConfigError,
    CountError,
    ImageSizeError,
    IodineKitError,
    SchemaError,
    UnknownNameError,
    did_you_mean,
)
from iodine_kit.metrics import checked_masks
from iodine_kit.records import Array, Bytes, Floats
from iodine_kit.store import Artifact, Store
from iodine_kit.store.manifest import MANIFEST
from iodine_kit.system import to_path

_OF_ARGUMENTS = (ArtifactNotFoundError, ConfigError, CountError, ImageSizeError, SchemaError, UnknownNameError)

_IN_PYTHON = {
    r"--overwrite\b": "overwrite=True",
    r"--(protocol|workers)\b": r"prepare.\1",
    r"--(generate|source|split|store)\b": r"\1",
    r"--set (?=\w)": "the setting ",
}
"""What options of the command line are in Python, as regular expressions and replacements."""


class Tensor(Protocol):
    """A PyTorch tensor, without the import of PyTorch."""

    def detach(self) -> Any:
        """The same values, without a record for gradients."""


AnyArray = Array | Tensor
"""A NumPy array or a PyTorch tensor."""


def in_python(message: str) -> str:
    """Return a message in which options are arguments and settings, except in a command at its end."""
    message, colon, command = message.partition(": iodine-kit ")
    for option, words in _IN_PYTHON.items():
        message = re.sub(option, words, message)
    return message + colon + command


@contextmanager
def python_messages() -> Iterator[None]:
    """Write the message of an error in the words of :func:`in_python`; its class stays."""
    try:
        yield
    except IodineKitError as error:
        error.args = (in_python(str(error)),)
        raise


@contextmanager
def argument(name: str = "", *also: type[IodineKitError]) -> Iterator[None]:
    """Raise an error that the value of an argument causes as a :class:`ValueError` that begins with its ``name``.

    Args:
        name: without a name, the message names a key of the configuration.
        also: more classes of errors that the value can cause.
    """
    of_arguments: tuple[type[IodineKitError], ...] = (*_OF_ARGUMENTS, *also)
    try:
        with python_messages():
            yield
    except of_arguments as error:
        raise ValueError(f"{name}: {error}" if name else str(error)) from error


def to_numpy(value: AnyArray) -> Array:
    """Return an array or tensor as a NumPy array; memory is shared if it can be."""
    if hasattr(value, "detach"):
        tensor: Any = value.detach().cpu()
        value = (tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor).numpy()  # NumPy has no bfloat16
    return np.asarray(value)


def to_images(name: str, value: AnyArray) -> Bytes | Floats:
    """Return images as contiguous ``uint8[B, H, W, 3]``, or as ``float32[B, H, W, 3]`` if they are floats in [0, 1].

    Raises:
        ValueError: for another shape, type or range; the message begins with ``name``.
    """
    images = to_numpy(value)
    _check_image_shape(name, images.shape)
    if images.dtype.kind not in "iuf":
        raise ValueError(f"{name}: the type is {images.dtype}; pass uint8, or floats in [0, 1]")
    floats, highest = images.dtype.kind == "f", 1 if images.dtype.kind == "f" else 255
    low, high = images.min(), images.max()
    if not (low >= 0 and high <= highest):
        advice = "divide by 255, or pass uint8" if floats else "pass values in 0…255"
        raise ValueError(f"{name}: the values are {low:g} to {high:g}, outside of 0 to {highest}: {advice}")
    return np.ascontiguousarray(images, np.float32) if floats else np.ascontiguousarray(images, np.uint8)


def to_masks(name: str, value: AnyArray) -> Array:
    """Return index masks as ``uint8[B, H, W]``; raises :class:`ValueError` for another shape, type or range."""
    masks = to_numpy(value)
    if masks.ndim != 3:
        advice = ": for one mask, pass mask[None]" if masks.ndim == 2 else ""
        raise ValueError(f"{name}: the shape is [{', '.join(map(str, masks.shape))}], expected [B, H, W]{advice}")
    return checked_masks(name, masks)


def to_background(value: int | Sequence[int]) -> tuple[int, ...]:
    """Return the values of true masks that are background; raises :class:`ValueError` for one that is no mask value."""
    given = np.atleast_1d(np.asarray(value))
    if given.size and (given.ndim != 1 or given.dtype.kind not in "iu" or given.min() < 0 or given.max() > 255):
        raise ValueError(f"background: pass one integer or several, each in 0…255 (given: {value!r})")
    return tuple(given.tolist())


def to_bytes(images: Bytes | Floats) -> Bytes:
    """Return images of :func:`to_images` as ``uint8[B, H, W, 3]``."""
    return (images if images.dtype == np.uint8 else np.rint(images * 255)).astype(np.uint8, copy=False)


def _check_image_shape(name: str, shape: tuple[int, ...]) -> None:
    shown = f"{name}: the shape is [{', '.join(map(str, shape))}], expected [B, H, W, 3]"
    if len(shape) == 3 and shape[2] == 3:
        raise ValueError(f"{shown}: for one image, pass image[None]")
    if len(shape) == 4 and shape[1] == 3 != shape[3]:
        raise ValueError(f"{shown}: move the channels to the end, for example with np.moveaxis(images, 1, -1)")
    if len(shape) != 4 or shape[3] != 3:
        raise ValueError(shown)
    if 0 in shape:
        raise ValueError(f"{shown} with at least one image")


def to_tables(settings: Mapping[str, Any] | None, names: Sequence[str]) -> dict[str, Values]:
    """Return settings such as ``{"train.steps": 50}`` or ``{"train": {"steps": 50}}`` as tables of a configuration.

    Args:
        names: tables that may be set.

    Raises:
        ValueError: if a key has no known table; the message names the nearest one.
    """
    tables: dict[str, Values] = {}
    for key, value in (settings or {}).items():
        first, *rest = key.split(".")
        if first not in names:
            raise ValueError(f"settings: '{key}' is in no known table{did_you_mean(first, names)}")
        if not rest and not isinstance(value, Mapping):
            raise ValueError(f"settings: '{key}' is a table: write '{key}.NAME', or pass a mapping")
        for name in reversed([first, *rest]):
            value = {name: value}
        merge(tables, value)
    return tables


Place = str | Path | Artifact
"""An artifact; or the path of its directory; or, in a store, its directory's name, the first letters of its key, or the
name of artifacts, of which the most recent one is taken."""
VARIABLE = "IODINE_KIT_STORE"


def open_store(store: str | Path | None) -> Store:
    """Return the store in a directory; by default the one that ``IODINE_KIT_STORE`` names, or else ``data``."""
    return Store(to_path(store or os.environ.get(VARIABLE) or "data"))


def find(name: str, place: Place, kind: str, store: str | Path | None) -> Artifact:
    """Return the artifact that an argument means, after a check of its files.

    Args:
        name: of the argument.
        kind: of the artifact, such as ``dataset``.
        store: for a ``place`` that is no path; see :func:`open_store`.

    Raises:
        ValueError: if there is no such artifact; the message names the nearest name.
        ArtifactCorruptError: if files of the artifact were changed.
    """
    with argument(name):
        if isinstance(place, Artifact):
            return Store.of(place).usable(Store.of(place).open(str(place.path), kind))
        path = to_path(place)
        if (path / MANIFEST).is_file():
            outside = Store(path.resolve().parents[1])
            return outside.usable(outside.open(str(path.resolve()), kind))
        inside = open_store(store)
        return inside.usable(_in_store(inside, str(place), kind))


def _in_store(store: Store, place: str, kind: str) -> Artifact:
    artifacts = [artifact for artifact in store.artifacts(kind) if not artifact.purpose]
    named = [artifact for artifact in artifacts if artifact.manifest.identity.name == place]
    if named:
        return named[-1]
    try:
        return store.open(place, kind)
    except ArtifactNotFoundError as error:
        names = {artifact.manifest.identity.name for artifact in artifacts}
        raise ArtifactNotFoundError(f"{error}{did_you_mean(place, names) if names else ''}") from None
