"""Which row of a file is which scene of a split. Ambiguous rows are refused: scores of wrong scenes look plausible."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from iodine_kit.errors import CountError, SchemaError
from iodine_kit.predictions.readers import Column
from iodine_kit.progress import Reporter


def texts(column: Column, place: str) -> list[str]:
    """Keys as texts, from texts or whole numbers; raises :class:`SchemaError` if they are neither."""
    values = column.rows(np.arange(column.shape[0])) if column.shape else np.empty((0, 0))
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1 or values.dtype.kind not in "OSUiu":
        raise SchemaError(f"{place}: keys are one text per scene, but this is {values.dtype}{list(values.shape)}")
    try:
        return [value.decode() if isinstance(value, bytes) else str(value) for value in values.tolist()]
    except UnicodeDecodeError:
        raise SchemaError(f"{place}: these keys are not UTF-8; write them as UTF-8") from None


def rows_by_key(
    keys: Sequence[str], known: Sequence[str], place: str, where: str, reporter: Reporter
) -> NDArray[np.int64]:
    """The row of every scene of a split, ``int64[len(known)]``.

    Args:
        keys: in the order of the file ``place``.
        known: the required keys, of the split ``where``.
        reporter: gets a note if the order differs from the split's.

    Raises:
        SchemaError: a key occurs twice, is not in the split, or is missing.
    """
    twice = next((key for key, times in Counter(keys).items() if times > 1), None)
    if twice is not None:
        raise SchemaError(f"{place}: the key '{twice}' occurs more than once; write one row per scene")
    row = {key: number for number, key in enumerate(keys)}
    unknown = [key for key in keys if key not in set(known)] if row.keys() - set(known) else []
    if unknown:
        raise SchemaError(
            f"{place}: {len(unknown)} keys are not in {where}, such as '{unknown[0]}'; its keys are like "
            f"'{known[0]}'. If the rows are in its order, set import.order = 'dataset'"
        )
    missing = [key for key in known if key not in row]
    if missing:
        raise SchemaError(
            f"{place}: {len(missing)} scenes of {where} are missing, such as '{missing[0]}'; predict all, or set "
            "import.scenes = N for only the first N"
        )
    rows = np.array([row[key] for key in known], np.int64)
    if not np.array_equal(rows, np.arange(len(rows))):
        reporter.note(f"{place}: its scenes are in another order than in {where}; they are reordered by their keys")
    return rows


def rows_in_order(count: int, known: Sequence[str], place: str, where: str) -> NDArray[np.int64]:
    """The rows of a file in the split's order; raises :class:`CountError` if it has more or fewer rows."""
    if count != len(known):
        raise CountError(
            f"{place}: has {count} rows, but {where} has {len(known)} scenes; import.order = 'dataset' requires one "
            "row per scene: set import.scenes = N for only the first N"
        )
    return np.arange(count)


def refuse_contradiction(keys: Sequence[str], known: Sequence[str], place: str) -> None:
    """Raise :class:`SchemaError` if rows that should be in the split's order have its keys in another one."""
    if list(keys) != list(known) and set(keys) == set(known):
        raise SchemaError(
            f"{place}: its keys are the split's in another order, so import.order = 'dataset' would mix up scenes; "
            "remove import.order"
        )
