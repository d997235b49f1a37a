"""Arrays of any order of axes as arrays of one."""

from __future__ import annotations

from dataclasses import dataclass

from iodine_kit.errors import ImageSizeError, SchemaError
from iodine_kit.foreign import Column
from iodine_kit.records import Array


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
