"""Which row of a file is which scene of a split. A doubt is refused: scores of other scenes look like real ones."""

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
        raise SchemaError(
            f"{place}: keys are texts, one for each scene, and this is {values.dtype}{list(values.shape)}"
        )
    try:
        return [value.decode() if isinstance(value, bytes) else str(value) for value in values.tolist()]
    except UnicodeDecodeError:
        raise SchemaError(f"{place}: these keys are not UTF-8; write them as such") from None


def rows_by_key(
    keys: Sequence[str], known: Sequence[str], place: str, where: str, reporter: Reporter
) -> NDArray[np.int64]:
    """The row of every scene of a split, ``int64[len(known)]``; another order than the split's is told.

    Args:
        keys: as they stand in the file called ``place``.
        known: those that have to be there, of the split called ``where``.
        reporter: is told when rows change places.

    Raises:
        SchemaError: if a key is there twice, is none of the split's, or is missing.
    """
    twice = next((key for key, times in Counter(keys).items() if times > 1), None)
    if twice is not None:
        raise SchemaError(f"{place}: the key '{twice}' occurs more than once; every scene has one row")
    row = {key: number for number, key in enumerate(keys)}
    strangers = [key for key in keys if key not in set(known)] if row.keys() - set(known) else []
    if strangers:
        raise SchemaError(
            f"{place}: {len(strangers)} keys are not of {where}, such as '{strangers[0]}'; its keys are like "
            f"'{known[0]}', or say import.order = 'dataset' if the rows are in its order"
        )
    missing = [key for key in known if key not in row]
    if missing:
        raise SchemaError(
            f"{place}: {len(missing)} scenes of {where} are missing, such as '{missing[0]}'; predict all, or say "
            "import.scenes = N if only the first N are meant"
        )
    rows = np.array([row[key] for key in known], np.int64)
    if not np.array_equal(rows, np.arange(len(rows))):
        reporter.note(f"{place}: its scenes are in another order than in {where}; they were put in order by their keys")
    return rows


def rows_in_order(count: int, known: Sequence[str], place: str, where: str) -> NDArray[np.int64]:
    """The rows of a file said to be in the split's order; raises :class:`CountError` if there are not as many."""
    if count != len(known):
        raise CountError(
            f"{place}: has {count} rows, and {where} has {len(known)} scenes: with import.order = 'dataset' there have "
            "to be as many, or say import.scenes = N if only the first N are meant"
        )
    return np.arange(count)


def refuse_contradiction(keys: Sequence[str], known: Sequence[str], place: str) -> None:
    """Raise :class:`SchemaError` if rows said to be in the split's order have its keys in another one."""
    if list(keys) != list(known) and set(keys) == set(known):
        raise SchemaError(
            f"{place}: its keys are the split's in another order, so import.order = 'dataset' would mix up scenes; "
            "leave it out"
        )
