"""The ``[prepare]`` table."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, field_validator

from iodine_kit.config import Config

TABLES = ("prepare", "dataset", "layout", "preprocess", "format")


class PrepareConfig(Config):
    """What to prepare.

    Attributes:
        dataset, format: plug-in names.
        generate: number of scenes to generate; none reads published files.
        source: published files: paths, folders, patterns or addresses; none is the data set's public address.
        layout: how the source is laid out, a plug-in name; none looks.
        protocol: named rule for splits, filter and crop; see ``iodine-kit protocols``.
        split: scenes per split, in the order of the source. A generated split does not depend on the others.
        seed: of the generator.
        skip_bad: leave damaged records out rather than stop at the first one.
    """

    dataset: str
    format: str = "hdf5"
    generate: Annotated[int, Field(ge=1)] | None = None
    source: tuple[str, ...] = ()
    layout: str = ""
    protocol: str = ""
    split: dict[str, Annotated[int, Field(ge=0)]] = {}
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    skip_bad: bool = False

    @field_validator("source", mode="before")
    @classmethod
    def _one_or_several(cls, source: Any) -> Any:
        return (source,) if isinstance(source, str) else source

    @field_validator("split")
    @classmethod
    def _names(cls, split: dict[str, int]) -> dict[str, int]:
        for name in split:
            if not name.replace("_", "").isalnum():
                raise ValueError(f"'{name}' is not a split's name: use letters, digits and '_'")
        return split


class PrepareExecution(Config):
    """How it is executed; never changes the result.

    Attributes:
        workers: processes that decode, render, resize and encode.
        max_bad: share of bad records above which ``skip_bad`` fails nevertheless.
    """

    workers: Annotated[int, Field(ge=1, le=256)] = 1
    max_bad: Annotated[float, Field(ge=0, le=1)] = 0.01
