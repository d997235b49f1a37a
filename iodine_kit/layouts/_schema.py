"""Whether a record has the features of the expected data set; if not, which known data set has them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from iodine_kit.errors import SchemaError
from iodine_kit.layouts import Expected
from iodine_kit.tfrecord import FieldSpec

Fields = Mapping[str, FieldSpec]
Features = Mapping[str, tuple["np.dtype[Any]", int]]
"""The features of a record: type and number of elements by name."""


def check_fields(features: Features, expected: Expected, place: str) -> None:
    """Refuse a record whose features are not those of the expected data set.

    Raises:
        SchemaError: it names the data set that has these features, or the difference if there is none.
    """
    problem = _difference(features, expected.fields)
    if not problem:
        return
    other = other_dataset(expected, lambda fields: not _difference(features, fields))
    if other:
        raise wrong_file(place, other, expected)
    raise SchemaError(f"{place}: {problem}; this looks like another data set's file")


def other_dataset(expected: Expected, fits: Callable[[Fields], bool]) -> str:
    """The names of other known files whose features fit, joined by "or"; empty if there are none."""
    return " or ".join(name for name, fields in expected.others.items() if fields != expected.fields and fits(fields))


def wrong_file(place: str, other: str, expected: Expected) -> SchemaError:
    """The error for a record of another known file."""
    asked = [name for name, fields in expected.others.items() if fields == expected.fields]
    same = all(name.startswith(expected.dataset) for name in other.split(" or "))
    advice = "; select it with --set dataset.…" if same else ""
    return SchemaError(f"{place} is of {other}, not of {asked[0] if asked else expected.dataset}{advice}")


def largest_record(expected: Expected) -> int:
    """Bytes of the largest record of any known file."""
    known = [expected.fields, *expected.others.values()]
    sizes = (sum(math.prod(spec.shape) * np.dtype(spec.dtype).itemsize for spec in fields.values()) for fields in known)
    return max(sizes)


def _difference(features: Features, fields: Fields) -> str:
    """One clause on how a record's features differ; empty if they do not."""
    if features.keys() != fields.keys():
        return f"it has features {_names(features)} instead of {_names(fields)}"
    for name, spec in fields.items():
        dtype, count = features[name]
        if (dtype, count) != (np.dtype(spec.dtype), math.prod(spec.shape)):
            return f"feature '{name}' is {count} of {dtype}, not {np.dtype(spec.dtype)}{list(spec.shape)}"
    return ""


def _names(features: Mapping[str, object]) -> str:
    return ", ".join(f"'{name}'" for name in sorted(features)) or "none"
