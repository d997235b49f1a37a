"""Whether a record has the features of the data set it is said to be of, and else of which one it has them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from iodine_kit.errors import SchemaError
from iodine_kit.layouts import Expected
from iodine_kit.tfrecord import FieldSpec

Fields = Mapping[str, FieldSpec]
Found = Mapping[str, tuple["np.dtype[Any]", int]]
"""The features that a record has: type and number of elements by name."""


def check_fields(found: Found, expected: Expected, place: str) -> None:
    """Refuse a record that has other features than those of the expected data set.

    Raises:
        SchemaError: naming the data set whose features they are, or else the difference.
    """
    problem = _difference(found, expected.fields)
    if not problem:
        return
    other = other_dataset(expected, lambda fields: not _difference(found, fields))
    if other:
        raise wrong_file(place, other, expected)
    raise SchemaError(f"{place}: {problem}; this looks like another data set's file")


def other_dataset(expected: Expected, fits: Callable[[Fields], bool]) -> str:
    """The names of other known files whose features fit; nothing if none do."""
    return " or ".join(name for name, fields in expected.others.items() if fields != expected.fields and fits(fields))


def wrong_file(place: str, other: str, expected: Expected) -> SchemaError:
    """The error for a record that is of another known file."""
    asked = [name for name, fields in expected.others.items() if fields == expected.fields]
    same = all(name.startswith(expected.dataset) for name in other.split(" or "))
    advice = "; say which it is with --set dataset.…" if same else ""
    return SchemaError(f"{place} is of {other}, not of {asked[0] if asked else expected.dataset}{advice}")


def largest_record(expected: Expected) -> int:
    """Bytes of the largest record that any known file has."""
    known = [expected.fields, *expected.others.values()]
    sizes = (sum(math.prod(spec.shape) * np.dtype(spec.dtype).itemsize for spec in fields.values()) for fields in known)
    return max(sizes)


def _difference(found: Found, fields: Fields) -> str:
    """One sentence on how a record's features differ; nothing if they do not."""
    if found.keys() != fields.keys():
        return f"it has features {_names(found)} instead of {_names(fields)}"
    for name, spec in fields.items():
        dtype, count = found[name]
        if (dtype, count) != (np.dtype(spec.dtype), math.prod(spec.shape)):
            return f"feature '{name}' is {count} of {dtype}, not {np.dtype(spec.dtype)}{list(spec.shape)}"
    return ""


def _names(features: Mapping[str, object]) -> str:
    return ", ".join(f"'{name}'" for name in sorted(features)) or "none"
