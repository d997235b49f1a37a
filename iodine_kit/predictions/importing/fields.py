"""Which array of a file is which field, in which order of axes, and whether all fit each other and the data set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from iodine_kit.errors import CountError, ImageSizeError, SchemaError, did_you_mean
from iodine_kit.predictions.importing.config import FIELDS, ImportConfig
from iodine_kit.predictions.importing.masks import LABELS
from iodine_kit.predictions.readers import Column
from iodine_kit.records import Array, DatasetInfo


@dataclass(frozen=True)
class Layout:
    """The axes of an array, a letter for each: N scenes, K slots, H rows, W columns, C colours, Z latents, 1 one."""

    axes: str

    def sizes(self, column: Column, place: str, setting: str) -> dict[str, int]:
        """Length of every axis by its letter; raises :class:`SchemaError` if the array's shape does not fit."""
        shape = column.shape
        if len(shape) != len(self.axes) or any(n != 1 for n, axis in zip(shape, self.axes, strict=True) if axis == "1"):
            raise SchemaError(
                f"{place}: its shape {list(shape)} does not fit the axes {self.axes}; set {setting}, N first"
            )
        if column.dtype.kind not in "buif":
            raise SchemaError(f"{place}: holds {column.dtype}, and numbers are needed; name another array")
        return dict(zip(self.axes, shape, strict=True))

    def canonical(self, values: Array, order: str) -> Array:
        """Rows of the array with their axes in another order, without those of length 1."""
        kept = self.axes.replace("1", "")
        values = values.reshape([n for n, axis in zip(values.shape, self.axes, strict=True) if axis != "1"])
        return values.transpose([kept.index(axis) for axis in order])


def check_size(sizes: dict[str, int], height: int, width: int, place: str, advice: str) -> None:
    """Raise :class:`ImageSizeError` if height or width are not the data set's."""
    if (sizes["H"], sizes["W"]) != (height, width):
        raise ImageSizeError(
            f"{place}: is of {sizes['H']}×{sizes['W']} pixels, and the data set of {height}×{width}: {advice}"
        )


_LATENTS = ("latent_loc", "latent_scale")
_NATS = ("elbo", "nll", "kl")


@dataclass(frozen=True)
class Role:
    """An array of the file with its part: ``name`` as it is called there."""

    field: str
    name: str
    column: Column
    layout: Layout
    sizes: Mapping[str, int]
    place: str


def cast(place: str, columns: Mapping[str, Column], config: ImportConfig, info: DatasetInfo) -> dict[str, Role]:
    """Every array that is read, by its field.

    Raises:
        SchemaError: an array that is named is not there, none holds masks, or shapes do not fit.
        ImageSizeError: one has another size than the data set's images.
        CountError: there is no scene, or arrays have different numbers of them.
    """
    names = _names(place, columns, config)
    roles = {field: _role(place, field, name, columns[name], config) for field, name in names.items()}
    for role in roles.values():
        _check_size(role, config, info)
    _check_counts(place, roles)
    _check_slots(roles)
    return roles


def array_named(place: str, columns: Mapping[str, Column], config: ImportConfig, field: str) -> str | None:
    """Name of the array that holds a field; none if it is left out, or not there and not asked for."""
    name: str | None = getattr(config, field)
    if name is None or name in columns:
        return name
    if field in config.model_fields_set and field != "key":
        raise SchemaError(f"{place}: there is no array '{name}' (import.{field}){did_you_mean(name, columns)}")
    return None


def _names(place: str, columns: Mapping[str, Column], config: ImportConfig) -> dict[str, str]:
    found = {field: array_named(place, columns, config, field) for field in FIELDS}
    names = {field: name for field, name in found.items() if name is not None}
    planes = "K" in (config.axes or "")
    if planes and "soft_mask" not in names and "mask" in names:
        names["soft_mask"] = names["mask"]
    if names.get("mask") == names.get("soft_mask"):
        names.pop("mask" if planes or config.axes is None else "soft_mask", None)
    if not names.keys() & {"mask", "soft_mask"}:
        known = ", ".join(sorted(columns))
        raise SchemaError(
            f"{place}: no array is called '{config.mask}' or '{config.soft_mask}': name the one that holds the masks "
            f"as import.mask (a label per pixel) or import.soft_mask (a plane per slot); there are: {known}"
        )
    if config.values != "probabilities" and "soft_mask" not in names:
        raise SchemaError(
            f"{place}: import.values = '{config.values}' is of one plane per slot; give import.axes with a K"
        )
    return names


def _role(place: str, field: str, name: str, column: Column, config: ImportConfig) -> Role:
    axes, setting = _axes(field, column, config)
    layout, where = Layout(axes), f"{place}: {name}"
    return Role(field, name, column, layout, layout.sizes(column, where, setting), where)


def _axes(field: str, column: Column, config: ImportConfig) -> tuple[str, str]:
    planes = "K" in (config.axes or "")
    if field in _NATS:
        return ("NT" if len(column.shape) == 2 else "N"), f"import.{field} = 'none', or write it anew"
    return {
        "mask": ((config.axes if config.axes and not planes else "NHW"), "import.axes"),
        "soft_mask": ((config.axes if config.axes and planes else "NKHW"), "import.axes"),
        "reconstruction": (config.reconstruction_axes, "import.reconstruction_axes"),
        "component": (config.component_axes, "import.component_axes"),
    }.get(field, ("NKZ", f"import.{field} = 'none', or write it anew"))


def _check_size(role: Role, config: ImportConfig, info: DatasetInfo) -> None:
    is_mask = role.field in ("mask", "soft_mask")
    if "H" not in role.sizes or (is_mask and config.resize == "nearest" and min(role.sizes.values())):
        return
    advice = (
        "check import.axes, or say import.resize = 'nearest'"
        if is_mask
        else f"check import.{role.field}_axes, or leave it out with import.{role.field} = 'none'"
    )
    check_size(dict(role.sizes), info.height, info.width, role.place, advice)
    if role.sizes.get("C", 3) != 3:
        raise SchemaError(f"{role.place}: has {role.sizes['C']} colours and not 3; check import.{role.field}_axes")


def _check_counts(place: str, roles: Mapping[str, Role]) -> None:
    counts = {role.name: role.sizes["N"] for role in roles.values()}
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise CountError(f"{place}: arrays have different numbers of scenes: {told}; write a row for each in all")
    if not any(counts.values()):
        raise CountError(f"{place}: it holds no scene: there is nothing to import")


def _check_slots(roles: Mapping[str, Role]) -> None:
    slots = {role.name: role.sizes["K"] for role in roles.values() if "K" in role.sizes}
    told = ", ".join(f"{name} {count}" for name, count in slots.items())
    place = next(iter(roles.values())).place
    if len(set(slots.values())) > 1:
        raise SchemaError(f"{place}: arrays have different numbers of slots: {told}; check import.axes")
    if any(not 1 <= count <= LABELS for count in slots.values()):
        raise SchemaError(f"{place}: there can be 1 to {LABELS} slots, and this file has {told}; check import.axes")
    if {"latent_loc", "latent_scale"} <= roles.keys() and len({roles[name].sizes["Z"] for name in _LATENTS}) > 1:
        raise SchemaError(f"{place}: latent_loc and latent_scale have different numbers of dimensions")
