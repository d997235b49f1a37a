"""Rows of a file as a batch of predictions, every value checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iodine_kit.errors import SchemaError
from iodine_kit.predictions.importing.config import Colours, ImportConfig
from iodine_kit.predictions.importing.fields import Role
from iodine_kit.predictions.importing.masks import labels_of, largest, refuse_other_labels, soft_of
from iodine_kit.preprocessing.pixels import nearest
from iodine_kit.records import Array, Bytes, Floats, PredictionBatch

_UNIT_SLACK = 1.0
"""By which a reconstruction that is not clipped may leave 0…1; bytes taken for it leave it by hundreds."""


def batch_of(
    roles: Mapping[str, Role], config: ImportConfig, size: tuple[int, int], rows: NDArray[np.int64], keys: Sequence[str]
) -> PredictionBatch:
    """Some rows as predictions of the scenes ``keys``; raises :class:`SchemaError` for values that cannot be."""
    values = _masks(roles, config, size, rows, keys)
    for field in roles.keys() - {"mask", "soft_mask"}:
        role = roles[field]
        read = role.column.rows(rows)
        _refuse_not_finite(read, role.place, keys)
        values[field] = _other(role, read, config)
    return PredictionBatch(keys=tuple(keys), **values)


def _masks(
    roles: Mapping[str, Role], config: ImportConfig, size: tuple[int, int], rows: NDArray[np.int64], keys: Sequence[str]
) -> dict[str, Any]:
    hard: Bytes | None = None
    soft: Floats | None = None
    if "mask" in roles:
        role = roles["mask"]
        values = role.layout.canonical(role.column.rows(rows), "NHW")
        hard = labels_of(values, config.first_label, keys, role.place)
    if "soft_mask" in roles:
        role = roles["soft_mask"]
        values = role.layout.canonical(role.column.rows(rows), "NKHW")
        soft = soft_of(values, config.values, keys, role.place)
    if hard is not None and soft is not None:
        refuse_other_labels(hard, soft, keys, roles["mask"].place)
    return _stored(hard, soft, config, size)


def _stored(hard: Bytes | None, soft: Floats | None, config: ImportConfig, size: tuple[int, int]) -> dict[str, Any]:
    """One-hot planes are no soft masks: nothing may be interpolated between them as if they were."""
    if hard is None:
        assert soft is not None  # one of both has its role
        hard = largest(soft)
    found: dict[str, Array] = {"mask": hard}
    if soft is not None and config.values != "one-hot":
        found["soft_mask"] = soft.astype(np.float16)
    if config.resize == "nearest":
        found = {name: nearest(values, size) for name, values in found.items()}
    return {name: np.ascontiguousarray(values) for name, values in found.items()}


def _other(role: Role, values: Array, config: ImportConfig) -> Array:
    if role.field == "reconstruction":
        return np.ascontiguousarray(_unit(role.layout.canonical(values, "NHWC"), config.colours, role.place))
    if role.field == "component":
        unit = _unit(role.layout.canonical(values, "NKHWC"), config.colours, role.place)
        return np.ascontiguousarray((unit.clip(0, 1) * 255).round().astype(np.uint8))
    if role.field in ("latent_loc", "latent_scale"):
        if role.field == "latent_scale" and (values < 0).any():
            raise SchemaError(f"{role.place}: a standard deviation is negative; write latent_scale, not its logarithm")
        return values.astype(np.float32)
    return values.reshape(len(values), -1)[:, -1:].astype(np.float32)  # after the last step


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
            "not allow; say 'bytes' for 0…255, 'unit' for 0…1, 'signed' for -1…1"
        )
    return unit


def _refuse_not_finite(values: Array, place: str, keys: Sequence[str]) -> None:
    wrong = ~np.isfinite(values.reshape(len(values), -1)).all(1)
    if wrong.any():
        raise SchemaError(f"{place}: scene '{keys[int(wrong.argmax())]}' has a value that is not finite")
