"""Which row of a file is which scene of a split. Ambiguous rows are refused: scores of wrong scenes look plausible."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from iodine_kit.errors import CountError, SchemaError
from iodine_kit.formatting import counted
from iodine_kit.predictions.readers import Column
from iodine_kit.progress import Reporter
from iodine_kit.untrusted.folders import printable

_SUFFIXES = frozenset(["png", "jpg", "jpeg", "jfif", "webp", "bmp", "tif", "tiff", "gif", "npy", "npz"])


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
        keys: in the order of the file ``place``; see :func:`scenes_called`.
        known: the required keys, of the split ``where``.
        reporter: gets a note if the keys are not the split's, or in another order.

    Raises:
        SchemaError: a key occurs twice, is not in the split, or is missing.
    """
    twice = next((key for key, times in Counter(keys).items() if times > 1), None)
    if twice is not None:
        raise SchemaError(f"{place}: the key '{twice}' occurs more than once; write one row per scene")
    scenes = scenes_called(keys, known)
    row = {scene: number for number, scene in enumerate(scenes) if scene is not None}
    _refuse_unknown(keys, known, scenes, place, where)
    missing = [number for number in range(len(known)) if number not in row]
    if missing:
        first = f", or set import.scenes = {len(keys)} for only the first {len(keys)}"
        are_missing = "is missing" if len(missing) == 1 else "are missing"
        raise SchemaError(
            f"{place}: {counted(len(missing), 'scene')} of {where} {are_missing}, such as '{known[missing[0]]}'; "
            f"predict all{first if missing[0] == len(keys) else ''}"
        )
    _note_names(keys, known, scenes, place, reporter)
    rows = np.array([row[number] for number in range(len(known))], np.int64)
    if not np.array_equal(rows, np.arange(len(rows))):
        reporter.note(f"{place}: its scenes are in another order than in {where}; they are reordered by their keys")
    return rows


def scenes_called(keys: Sequence[str], known: Sequence[str]) -> list[int | None]:
    """The number of the scene that each key of a file means; ``None`` if it means none, or not exactly one.

    A key means the scene with this key; else the scene whose key is the same in one Unicode form and without the suffix
    of a picture; else the only scene whose path has the same end. Two keys never mean the same scene.
    """
    found: list[int | None] = [None] * len(keys)
    for form, ends in ((str, False), (_bare, False), (_bare, True)):
        left, taken = [row for row, scene in enumerate(found) if scene is None], set(found)
        if left:
            scenes = _found([form(keys[row]) for row in left], [form(key) for key in known], ends)
            for row, scene in zip(left, scenes, strict=True):
                found[row] = None if scene in taken else scene
    return found


def _refuse_unknown(
    keys: Sequence[str], known: Sequence[str], scenes: Sequence[int | None], place: str, where: str
) -> None:
    """Raise :class:`SchemaError` if a key means no scene."""
    unknown = [key for key, scene in zip(keys, scenes, strict=True) if scene is None]
    if not unknown:
        return
    problem = f"{len(unknown)} of {len(keys)} keys are not in {where}, such as '{unknown[0]}'"
    meant = set(scenes)
    missing = next((number for number in range(len(known)) if number not in meant), None)
    if missing is not None:
        problem += f"; {len(known) - len(keys) + len(unknown)} of its scenes are in no row, such as '{known[missing]}'"
    advice = "give every row the key of its scene" if missing is not None else "remove these rows"
    if len(keys) == len(known):
        ignore = " and import.key = 'none'" if _contradiction(scenes) else ""
        advice += f"; if the rows are in the order of the split, set import.order = 'dataset'{ignore}"
    raise SchemaError(f"{place}: {problem}: {advice}")


def _contradiction(scenes: Sequence[int | None]) -> tuple[int, int] | None:
    """The first row, and its scene, whose name is that of a scene in another place, if at least half have such names.

    Numbers of rows may happen to be the names of a few scenes.
    """
    named = [(row, scene) for row, scene in enumerate(scenes) if scene is not None]
    other = next((pair for pair in named if pair[0] != pair[1]), None)
    return other if 2 * len(named) >= len(scenes) else None


def _found(keys: Sequence[str], known: Sequence[str], ends: bool) -> list[int | None]:
    """The scene of each key; several keys that would mean the same scene mean none."""
    names = [(name, place) for place, key in enumerate(known) for name in (_tails(key) if ends else [key])]
    times = Counter(name for name, _ in names)
    number = {name: place for name, place in names if times[name] == 1}
    found = [next((number[name] for name in (_tails(key) if ends else [key]) if name in number), None) for key in keys]
    often = Counter(found)
    return [place if often[place] == 1 else None for place in found]


def _tails(path: str) -> list[str]:
    """The ends of a path, longest first: ``a/b/c``, ``b/c``, ``c``."""
    parts = path.split("/")
    return ["/".join(parts[place:]) for place in range(len(parts))]


def _bare(key: str) -> str:
    """A key without the suffix of a picture or of an array, in one Unicode form, with ``/`` between the parts."""
    path = printable(key).replace("\\", "/").removeprefix("./")
    stem, dot, suffix = path.rpartition(".")
    return stem if dot and stem and suffix.lower() in _SUFFIXES else path


def _note_names(
    keys: Sequence[str], known: Sequence[str], scenes: Sequence[int | None], place: str, reporter: Reporter
) -> None:
    named = ((key, known[scene]) for key, scene in zip(keys, scenes, strict=True) if scene is not None)
    first = next((pair for pair in named if pair[0] != pair[1]), None)
    if first:
        reporter.note(f"{place}: {len(keys)} rows belong to scenes by their names: '{first[0]}' is scene '{first[1]}'")


def rows_in_order(count: int, known: Sequence[str], place: str, where: str) -> NDArray[np.int64]:
    """The rows of a file in the split's order; raises :class:`CountError` if it has more or fewer rows."""
    if count != len(known):
        raise CountError(
            f"{place}: has {count} rows, but {where} has {len(known)} scenes; import.order = 'dataset' requires one "
            "row per scene: set import.scenes = N for only the first N"
        )
    return np.arange(count)


def refuse_contradiction(keys: Sequence[str], known: Sequence[str], place: str) -> None:
    """Raise :class:`SchemaError` if rows that should be in the split's order have names of other scenes."""
    if other := _contradiction(scenes_called(keys, known)):
        row = other[0]
        raise SchemaError(
            f"{place}: its keys are the split's in another order: row {row} is called '{keys[row]}', and scene {row} "
            f"'{known[row]}'; import.order = 'dataset' would mix up scenes: remove it, or set import.key = 'none' if "
            "the names mean nothing"
        )
