"""Read a TFRecord file as named arrays of known shapes."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from iodine_kit.errors import SchemaError
from iodine_kit.tfrecord.example import parse_example
from iodine_kit.tfrecord.feature import Feature, as_float32, as_int64, as_uint8
from iodine_kit.tfrecord.framing import HEADER_BYTES, corrupt_record, read_records
from iodine_kit.tfrecord.wire import WireError

Array = NDArray[Any]  # its dtype is that of the FieldSpec, which the type of a mapping cannot express

_CONVERTERS: Final[Mapping[type[np.generic], Callable[[Feature], Array]]] = {
    np.uint8: as_uint8,
    np.float32: as_float32,
    np.int64: as_int64,
}


@dataclass(frozen=True, eq=False, slots=True)
class RawExample:
    """One record as it is stored.

    Attributes:
        path: the file.
        index: the record's number, from 0.
        offset: byte of the decompressed stream at which the record begins.
        features: by name, not yet shaped.
    """

    path: Path
    index: int
    offset: int
    features: Mapping[str, Feature]


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """Type and shape of a feature: ``dtype`` is np.uint8, np.float32 or np.int64; ``shape`` has no free dimensions.

    Raises:
        ValueError: another dtype.
    """

    dtype: type[np.uint8] | type[np.float32] | type[np.int64]
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.dtype not in _CONVERTERS:
            raise ValueError(f"a feature cannot be {self.dtype}; it is np.uint8, np.float32 or np.int64")


def read_examples(path: Path) -> Iterator[RawExample]:
    """Yield the records of a TFRecord file (GZIP, ZLIB or plain) of ``tf.train.Example`` messages, in order.

    Raises:
        SourceError: there is no such file.
        StorageError: the operating system refuses to read it.
        CorruptDataError: it is truncated, altered or holds other messages; the message names record and byte.
    """
    for index, offset, payload in read_records(path):
        yield parse_record(path, index, offset, payload)


def parse_record(path: Path, index: int, offset: int, payload: bytes) -> RawExample:
    """Parse record ``index`` of ``path``, which begins at byte ``offset`` of the decompressed stream.

    Raises:
        CorruptDataError: it is not a ``tf.train.Example``; the message names record and byte.
    """
    try:
        features = parse_example(payload)
    except WireError as error:
        problem = f"not a tf.train.Example ({error.problem}); the file is damaged or of another kind, download it again"
        raise corrupt_record(path, index, offset + HEADER_BYTES + error.at, problem) from error
    return RawExample(path, index, offset, features)


def decode(raw: RawExample, fields: Mapping[str, FieldSpec]) -> dict[str, Array]:
    """Return the features named in ``fields``, each its own array with the requested dtype and shape.

    Features that ``fields`` does not name are ignored; `check_features` refuses them.

    Raises:
        SchemaError: a feature is missing, of another kind, or has another number of elements; the message names
            file, record, feature and both counts.
    """
    missing = [name for name in fields if name not in raw.features]
    if missing:
        raise _schema_error(raw, f"no feature {_names(missing)}; it has {_names(raw.features)}")
    return {name: _decode_field(raw, raw.features[name], spec) for name, spec in fields.items()}


def check_features(raw: RawExample, expected: Collection[str]) -> None:
    """Refuse a record whose features are not exactly those named in ``expected``.

    Raises:
        SchemaError: some are missing or unknown; the message names file, record and all features it has.
    """
    if raw.features.keys() == set(expected):
        return
    missing = [name for name in expected if name not in raw.features]
    unknown = [name for name in raw.features if name not in expected]
    differences = [f"lacks {_names(missing)}"] * bool(missing) + [f"has unknown {_names(unknown)}"] * bool(unknown)
    features = f"it has features {_names(raw.features)}"
    raise _schema_error(raw, f"{' and '.join(differences)}; this looks like another data set's file: {features}")


def _decode_field(raw: RawExample, feature: Feature, spec: FieldSpec) -> Array:
    try:
        values = _CONVERTERS[spec.dtype](feature)
    except SchemaError as error:
        raise _schema_error(raw, str(error)) from error
    expected = math.prod(spec.shape)
    if values.size != expected:
        shape = f"{expected} of {np.dtype(spec.dtype)}{list(spec.shape)}"
        raise _schema_error(raw, f"feature '{feature.name}' has {values.size} elements, not the {shape}")
    return values.reshape(spec.shape)


def _schema_error(raw: RawExample, problem: str) -> SchemaError:
    return SchemaError(f"{raw.path}: record {raw.index}: {problem}")


def _names(names: Collection[str]) -> str:
    return ", ".join(f"'{name}'" for name in sorted(names)) or "none"
