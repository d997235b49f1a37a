"""Rows of a file as a batch of predictions, every value checked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iodine_kit.errors import SchemaError
from iodine_kit.predictions.importing.config import MAX_SLOTS, Colours, ImportConfig
from iodine_kit.predictions.importing.fields import MatchedField
from iodine_kit.preprocessing import nearest
from iodine_kit.records import Array, Bytes, Floats, PredictionBatch

_SUM_TOLERANCE = 1e-3
"""Allowed deviation of the sum of soft masks from 1; float16 alone causes half of it."""
_UNIT_SLACK = 1.0
"""How far an unclipped reconstruction may leave 0…1; bytes mistaken for it leave it by hundreds."""
_ORDER = {"reconstruction": "NHWC", "component": "NKHWC"}
"""Axes of fields that the file may store in another order."""


def batch_of(
    fields: Mapping[str, MatchedField],
    config: ImportConfig,
    size: tuple[int, int],
    rows: NDArray[np.int64],
    keys: Sequence[str],
    remarks: Counter[str],
) -> PredictionBatch:
    """Some rows as predictions of the scenes ``keys``; raises :class:`SchemaError` for impossible values.

    ``remarks`` counts the scenes of which users should know something, by what that is.
    """
    values = _masks(fields, config, size, rows, keys, remarks)
    for field in fields.keys() - {"mask", "soft_mask"}:
        read = fields[field].rows(rows, _ORDER.get(field, ""))
        _refuse_not_finite(read, fields[field].place, keys)
        values[field] = _other(fields[field], read, config)
    return PredictionBatch(keys=tuple(keys), **values)


def _masks(
    fields: Mapping[str, MatchedField],
    config: ImportConfig,
    size: tuple[int, int],
    rows: NDArray[np.int64],
    keys: Sequence[str],
    remarks: Counter[str],
) -> dict[str, Any]:
    hard: Bytes | None = None
    soft: Floats | None = None
    if "mask" in fields:
        alone = not any("K" in field.sizes for field in fields.values())
        labels, place = fields["mask"].rows(rows, "NHW"), fields["mask"].place
        hard = _labels(labels, config.first_label, keys, place, remarks if alone else None)
    if "soft_mask" in fields:
        convert = {"probabilities": _probabilities, "logits": _softmax, "one-hot": _one_hot}[config.values]
        soft = convert(fields["soft_mask"].rows(rows, "NKHW"), keys, fields["soft_mask"].place)
    if hard is not None and soft is not None:
        _refuse_other_labels(hard, soft, keys, fields["mask"].place)
    return _stored(hard, soft, config, size)


def _stored(hard: Bytes | None, soft: Floats | None, config: ImportConfig, size: tuple[int, int]) -> dict[str, Any]:
    """Masks by field. One-hot planes are not stored as soft masks, so that nothing interpolates between them."""
    if hard is None:
        assert soft is not None  # one of both fields was matched
        hard = soft.argmax(1).astype(np.uint8)  # the first of equals
    masks: dict[str, Array] = {"mask": hard}
    if soft is not None and config.values != "one-hot":
        masks["soft_mask"] = soft.astype(np.float16)
    if config.resize == "nearest":
        masks = {name: nearest(values, size) for name, values in masks.items()}
    return {name: np.ascontiguousarray(values) for name, values in masks.items()}


def _labels(values: Array, first: int, keys: Sequence[str], place: str, remarks: Counter[str] | None) -> Bytes:
    """Labels ``[B, H, W]`` counted from ``first``, as slots counted from 0.

    If ``remarks`` are given, nothing else in the file is numbered like the labels, and large ones are renumbered.
    """
    if values.dtype.kind == "f":
        values = values.astype(np.float64)
        _refuse(~np.isfinite(values), keys, place, "a label is not finite; write whole numbers")
        problem = "a label is not a whole number; write whole numbers, or set import.soft_mask for soft masks"
        _refuse(values != np.floor(values), keys, place, problem)
    problem = f"a label is below {first}, the value of import.first_label; if it is a slot, too, set import.first_label"
    _refuse(values < first, keys, place, f"{problem} = {int(values.min(initial=first))}")
    last = first + MAX_SLOTS - 1
    if remarks is not None:
        values = _renumbered(values, first, keys, place, remarks)
    problem = f"a label is above {last}; there can be at most {MAX_SLOTS} slots, numbered from {first}"
    _refuse(values > last, keys, place, problem)
    return (values.astype(np.int64) - first).astype(np.uint8)


def _renumbered(values: Array, first: int, keys: Sequence[str], place: str, remarks: Counter[str]) -> Array:
    """Labels, of which those of scenes with large ones count from ``first`` in the order of their values."""
    values = values.copy()
    for scene, labels in enumerate(values):
        large = labels.max() > first + MAX_SLOTS - 1
        used, number = np.unique(labels, return_inverse=True) if large else (np.empty(0), np.empty(0))
        if len(used) > MAX_SLOTS:
            problem = f"has {len(used)} labels, and there can be at most {MAX_SLOTS} slots"
            raise SchemaError(f"{place}, scene '{keys[scene]}': {problem}; merge some, or check that these are labels")
        if large:
            values[scene] = (number + first).reshape(labels.shape)
            remarks[f"with labels above {first + MAX_SLOTS - 1}, renumbered in the order of their values"] += 1
    return values


def _probabilities(values: Array, keys: Sequence[str], place: str) -> Floats:
    """Soft masks ``[B, K, H, W]`` that sum to 1 over slots."""
    soft: Floats = values.astype(np.float32)
    _refuse(~np.isfinite(soft), keys, place, "a soft mask is not finite; write finite numbers")
    _refuse(soft < 0, keys, place, "a soft mask is negative; if these are logits, set import.values = 'logits'")
    sums: NDArray[Any] = soft.sum(1, dtype=np.float64)
    problem = "soft masks do not sum to 1 over slots; check import.axes, or set import.values = 'logits' or 'one-hot'"
    _refuse(abs(sums - 1) > _SUM_TOLERANCE, keys, place, problem)
    return soft


def _softmax(values: Array, keys: Sequence[str], place: str) -> Floats:
    logits = values.astype(np.float64)
    top = logits.max(1, keepdims=True)
    problem = "a logit is NaN or infinite; only -inf is allowed, for a slot that is not used"
    _refuse(np.isnan(logits) | np.isposinf(logits) | ~np.isfinite(top), keys, place, problem)
    powers = np.exp(logits - top)
    soft: Floats = (powers / powers.sum(1, keepdims=True)).astype(np.float32)
    return soft


def _one_hot(values: Array, keys: Sequence[str], place: str) -> Floats:
    on = (values == 1) | (values == 255)
    _refuse(~on & (values != 0), keys, place, "a one-hot mask has values other than 0 and 1 (or 0 and 255)")
    problem = "a one-hot mask must have exactly one slot per pixel; check import.axes, or write exclusive masks"
    _refuse(on.sum(1) != 1, keys, place, problem)
    soft: Floats = on.astype(np.float32)
    return soft


def _refuse_other_labels(labels_BHW: Bytes, soft_BKHW: Floats, keys: Sequence[str], place: str) -> None:
    """Refuse labels that are not the slots with the largest soft masks: they may be the true masks."""
    own = np.take_along_axis(soft_BKHW, np.minimum(labels_BHW, soft_BKHW.shape[1] - 1)[:, None].astype(np.int64), 1)
    other = (own[:, 0] < soft_BKHW.max(1) - _SUM_TOLERANCE) | (labels_BHW >= soft_BKHW.shape[1])
    problem = (
        "the label is not the slot with the largest soft mask; if this array holds true masks or something else, set "
        "import.mask = 'none'"
    )
    _refuse(other, keys, place, problem)


def _refuse(wrong: NDArray[np.bool_], keys: Sequence[str], place: str, problem: str) -> None:
    """Raise :class:`SchemaError` with the first scene and pixel at which ``wrong`` is true, if there is one."""
    if wrong.any():
        scene, *_, y, x = (int(one) for one in np.unravel_index(wrong.argmax(), wrong.shape))
        raise SchemaError(f"{place}, scene '{keys[scene]}', pixel ({y}, {x}): {problem}")


def _other(matched: MatchedField, values: Array, config: ImportConfig) -> Array:
    """Rows of a field other than masks, as they are stored."""
    if matched.field == "reconstruction":
        return np.ascontiguousarray(_unit(values, config.colours, matched.place))
    if matched.field == "component":
        unit = _unit(values, config.colours, matched.place)
        return np.ascontiguousarray((unit.clip(0, 1) * 255).round().astype(np.uint8))
    if matched.field in ("latent_loc", "latent_scale"):
        if matched.field == "latent_scale" and (values < 0).any():
            problem = "a standard deviation is negative; write latent_scale, not its logarithm"
            raise SchemaError(f"{matched.place}: {problem}")
        return values.astype(np.float32)
    return values.reshape(len(values), -1)[:, -1:].astype(np.float32)  # after the last decode


def _unit(values: Array, colours: Colours, place: str) -> Floats:
    """Colours in 0…1, not clipped."""
    unit: Array = values.astype(np.float32)
    if colours == "signed":
        unit = (unit + 1) / 2
    elif colours == "bytes" or (colours == "by-dtype" and values.dtype.kind in "ui"):
        unit = unit / 255
    if unit.size and (unit.min() < -_UNIT_SLACK or unit.max() > 1 + _UNIT_SLACK):
        raise SchemaError(
            f"{place}: its colours are {values.min():g} to {values.max():g}, which import.colours = '{colours}' does "
            "not allow: set 'bytes' for 0…255, 'unit' for 0…1 or 'signed' for -1…1"
        )
    return unit


def _refuse_not_finite(values: Array, place: str, keys: Sequence[str]) -> None:
    wrong = ~np.isfinite(values.reshape(len(values), -1)).all(1)
    if wrong.any():
        raise SchemaError(
            f"{place}: scene '{keys[int(wrong.argmax())]}' has NaN or infinite values; write finite numbers"
        )
