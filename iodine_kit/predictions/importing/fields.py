"""Which array of a file is which field, and whether the shapes fit each other and the data set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from iodine_kit.errors import CountError, ImageSizeError, SchemaError, did_you_mean
from iodine_kit.predictions.importing.config import FIELDS, MAX_SLOTS, ImportConfig
from iodine_kit.predictions.readers import Column
from iodine_kit.records import Array, DatasetInfo

_LATENTS = ("latent_loc", "latent_scale")
_LISTED = 8  # arrays in a message: some programs write one for every scene
_NATS = ("elbo", "nll", "kl")


@dataclass(frozen=True)
class MatchedField:
    """An array of the file and the field of the predictions that it holds.

    Attributes:
        field: one of :data:`FIELDS`.
        name: the array's name in the file.
        column: its values.
        axes: one letter per axis: N scenes, K slots, H rows, W columns, C colours, Z latent dimensions, T decodes, 1
            an axis of length 1.
        sizes: length of each axis by its letter.
        place: file and array, for messages.
    """

    field: str
    name: str
    column: Column
    axes: str
    sizes: Mapping[str, int]
    place: str

    def rows(self, indices: NDArray[np.int64], order: str = "") -> Array:
        """Some rows, without axes of length 1; ``order`` is the order of the axes and defaults to that of the file."""
        values = self.column.rows(indices)
        values = values.reshape([n for n, axis in zip(values.shape, self.axes, strict=True) if axis != "1"])
        kept = self.axes.replace("1", "")
        return values.transpose([kept.index(axis) for axis in order or kept])


def match_fields(
    place: str, columns: Mapping[str, Column], config: ImportConfig, info: DatasetInfo
) -> dict[str, MatchedField]:
    """Every array to read, by its field.

    Raises:
        SchemaError: an array whose name is given does not exist, none holds masks, or shapes do not fit.
        ImageSizeError: an array has another size than the data set's images.
        CountError: there is no scene, or arrays have different numbers of scenes.
    """
    names = _names(place, columns, config)
    fields = {field: _match(place, field, name, columns[name], config) for field, name in names.items()}
    for matched in fields.values():
        _check_image_size(matched, config, info)
    _check_counts(place, fields)
    _check_slots(fields)
    return fields


def array_named(place: str, columns: Mapping[str, Column], config: ImportConfig, field: str) -> str | None:
    """Name of the array that holds a field; none if the field is omitted, or if its array is optional and missing."""
    name: str | None = getattr(config, field)
    if name is None or name in columns:
        return name
    if field in config.model_fields_set and field != "key":
        raise SchemaError(f"{place}: has no array '{name}' (import.{field}){did_you_mean(name, columns)}")
    return None


def _names(place: str, columns: Mapping[str, Column], config: ImportConfig) -> dict[str, str]:
    named = {field: array_named(place, columns, config, field) for field in FIELDS}
    names = {field: name for field, name in named.items() if name is not None}
    planes = "K" in (config.axes or "")
    if planes and "soft_mask" not in names and "mask" in names:
        names["soft_mask"] = names["mask"]
    if names.get("mask") == names.get("soft_mask"):
        names.pop("mask" if planes or config.axes is None else "soft_mask", None)
    if not names.keys() & {"mask", "soft_mask"}:
        more = f", … ({len(columns)} arrays)" if len(columns) > _LISTED else ""
        known = ", ".join(sorted(columns)[:_LISTED]) + more
        raise SchemaError(
            f"{place}: has no array '{config.mask}' or '{config.soft_mask}', only {known}: set import.mask to the "
            "array with one label per pixel, or import.soft_mask to the array with one plane per slot"
        )
    if config.values != "probabilities" and "soft_mask" not in names:
        raise SchemaError(
            f"{place}: import.values = '{config.values}' requires one plane per slot: set import.axes with a K"
        )
    return names


def _match(place: str, field: str, name: str, column: Column, config: ImportConfig) -> MatchedField:
    axes, setting = _axes(field, column, config)
    where = f"{place}: {name}"
    return MatchedField(field, name, column, axes, _sizes(axes, column, where, setting), where)


def _axes(field: str, column: Column, config: ImportConfig) -> tuple[str, str]:
    """The axes that a field should have, and the setting that would fix them."""
    planes = "K" in (config.axes or "")
    omit = f"import.{field} = 'none', or write the array again"
    if field in _NATS:
        return ("NT" if len(column.shape) == 2 else "N"), omit
    return {
        "mask": ((config.axes if config.axes and not planes else "NHW"), "import.axes"),
        "soft_mask": ((config.axes if config.axes and planes else "NKHW"), "import.axes"),
        "reconstruction": (config.reconstruction_axes, "import.reconstruction_axes"),
        "component": (config.component_axes, "import.component_axes"),
    }.get(field, ("NKZ", omit))


def _sizes(axes: str, column: Column, place: str, setting: str) -> dict[str, int]:
    shape = column.shape
    if len(shape) != len(axes) or any(n != 1 for n, axis in zip(shape, axes, strict=True) if axis == "1"):
        raise SchemaError(f"{place}: its shape {list(shape)} does not fit the axes {axes}: set {setting}")
    if column.dtype.kind not in "buif":
        raise SchemaError(f"{place}: holds {column.dtype}, not numbers; name another array")
    return dict(zip(axes, shape, strict=True))


def _check_image_size(matched: MatchedField, config: ImportConfig, info: DatasetInfo) -> None:
    sizes, is_mask = matched.sizes, matched.field in ("mask", "soft_mask")
    if "H" not in sizes or (is_mask and config.resize == "nearest" and min(sizes.values())):
        return
    if (sizes["H"], sizes["W"]) != (info.height, info.width):
        setting = "import.axes" if is_mask else f"import.{matched.field}_axes"
        other = "set import.resize = 'nearest'" if is_mask else f"omit the array with import.{matched.field} = 'none'"
        advice = f"check {setting}, or {other}"
        if (sizes["W"], sizes["H"]) == (info.height, info.width):  # resizing would not turn them back
            turned = matched.axes.translate(str.maketrans("HW", "WH"))
            advice = f"rows and columns are exchanged: set {setting} = '{turned}'"
        size = f"has {sizes['H']}×{sizes['W']} pixels, the data set {info.height}×{info.width}"
        raise ImageSizeError(f"{matched.place}: {size}: {advice}")
    if sizes.get("C", 3) != 3:
        raise SchemaError(f"{matched.place}: has {sizes['C']} colours, not 3; check import.{matched.field}_axes")


def _check_counts(place: str, fields: Mapping[str, MatchedField]) -> None:
    counts = {matched.name: matched.sizes["N"] for matched in fields.values()}
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise CountError(f"{place}: arrays have different numbers of scenes: {listed}; write one row per scene in all")
    if not any(counts.values()):
        raise CountError(f"{place}: holds no scene, so there is nothing to import")


def _check_slots(fields: Mapping[str, MatchedField]) -> None:
    slots = {matched.name: matched.sizes["K"] for matched in fields.values() if "K" in matched.sizes}
    listed = ", ".join(f"{name} {count}" for name, count in slots.items())
    place = next(iter(fields.values())).place
    if len(set(slots.values())) > 1:
        raise SchemaError(f"{place}: arrays have different numbers of slots: {listed}; check import.axes")
    if any(not 1 <= count <= MAX_SLOTS for count in slots.values()):
        raise SchemaError(f"{place}: there can be 1 to {MAX_SLOTS} slots, not {listed}; check import.axes")
    if set(_LATENTS) <= fields.keys() and len({fields[name].sizes["Z"] for name in _LATENTS}) > 1:
        raise SchemaError(f"{place}: latent_loc and latent_scale have different numbers of dimensions; correct one")
