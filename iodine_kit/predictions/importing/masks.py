"""Masks as others write them, as labels ``uint8[B, H, W]`` and soft masks ``float32[B, K, H, W]``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iodine_kit.errors import SchemaError
from iodine_kit.predictions.importing.config import Values
from iodine_kit.records import Array, Bytes, Floats

LABELS = 255
"""There are at most so many slots, 0…254."""
TOLERANCE = 1e-3
"""By which soft masks may miss a sum of 1; float16 alone makes half of it."""


def labels_of(values: Array, first: int, keys: Sequence[str], place: str) -> Bytes:
    """Labels ``[B, H, W]``, counted from ``first``, as slots counted from 0.

    Raises:
        SchemaError: if one is not whole, below ``first``, or there are more than 255.
    """
    if values.dtype.kind == "f":
        values = values.astype(np.float64)
        _refuse(~np.isfinite(values), keys, place, "a label is not finite; write whole numbers")
        words = "a label is no whole number; write whole numbers, or name an array of soft masks as import.soft_mask"
        _refuse(values != np.floor(values), keys, place, words)
    words = f"a label is below {first}, which import.first_label says is the first one"
    _refuse(values < first, keys, place, words)
    words = f"a label is above {first + LABELS - 1}, and there can be {LABELS} slots at most; number them from {first}"
    _refuse(values > first + LABELS - 1, keys, place, words)
    return (values.astype(np.int64) - first).astype(np.uint8)


def soft_of(values: Array, kind: Values, keys: Sequence[str], place: str) -> Floats:
    """One plane per slot, ``[B, K, H, W]``, as probabilities of that shape; of one-hot planes they are 0 and 1.

    Raises:
        SchemaError: if they are not finite, negative, do not sum to 1, or are not what ``kind`` says.
    """
    return {"probabilities": _probabilities, "logits": _softmax, "one-hot": _one_hot}[kind](values, keys, place)


def largest(soft_BKHW: Floats) -> Bytes:
    """The slot with the largest mask at each pixel, the first of equals."""
    slots: Bytes = soft_BKHW.argmax(1).astype(np.uint8)
    return slots


def refuse_other_labels(labels_BHW: Bytes, soft_BKHW: Floats, keys: Sequence[str], place: str) -> None:
    """Raise :class:`SchemaError` if labels are not the slots with the largest soft masks: are they the truth?"""
    own = np.take_along_axis(soft_BKHW, np.minimum(labels_BHW, soft_BKHW.shape[1] - 1)[:, None].astype(np.int64), 1)
    other = (own[:, 0] < soft_BKHW.max(1) - TOLERANCE) | (labels_BHW >= soft_BKHW.shape[1])
    words = (
        "the label is not the slot with the largest soft mask; if this array holds true masks or something else, say "
        "import.mask = 'none'"
    )
    _refuse(other, keys, place, words)


def _probabilities(values: Array, keys: Sequence[str], place: str) -> Floats:
    soft: Floats = values.astype(np.float32)
    _refuse(~np.isfinite(soft), keys, place, "a soft mask is not finite; write numbers")
    _refuse(soft < 0, keys, place, "a soft mask is negative; if these are logits, say import.values = 'logits'")
    sums: NDArray[Any] = soft.sum(1, dtype=np.float64)
    words = "soft masks do not sum to 1 over slots; check import.axes, or say import.values = 'logits' or 'one-hot'"
    _refuse(abs(sums - 1) > TOLERANCE, keys, place, words)
    return soft


def _softmax(values: Array, keys: Sequence[str], place: str) -> Floats:
    logits = values.astype(np.float64)
    top = logits.max(1, keepdims=True)
    words = "a logit is NaN or infinite; -inf alone is allowed, for a slot that is not in use"
    _refuse(np.isnan(logits) | np.isposinf(logits) | ~np.isfinite(top), keys, place, words)
    powers = np.exp(logits - top)
    soft: Floats = (powers / powers.sum(1, keepdims=True)).astype(np.float32)
    return soft


def _one_hot(values: Array, keys: Sequence[str], place: str) -> Floats:
    on = (values == 1) | (values == 255)
    _refuse(~on & (values != 0), keys, place, "a one-hot mask holds something else than 0 and 1 (or 0 and 255)")
    words = "a pixel has not exactly one slot, as one-hot masks have; check import.axes, or write exclusive masks"
    _refuse(on.sum(1) != 1, keys, place, words)
    soft: Floats = on.astype(np.float32)
    return soft


def _refuse(wrong: NDArray[np.bool_], keys: Sequence[str], place: str, words: str) -> None:
    """Raise :class:`SchemaError` with the first scene and pixel at which something is wrong, if there is one."""
    if wrong.any():
        scene, *_, y, x = (int(one) for one in np.unravel_index(wrong.argmax(), wrong.shape))
        raise SchemaError(f"{place}, scene '{keys[scene]}', pixel ({y}, {x}): {words}")
