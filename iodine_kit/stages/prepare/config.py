"""The ``[prepare]`` table."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, field_validator

from iodine_kit.config import Config, PathText

TABLES = ("prepare", "dataset", "layout", "preprocess", "format")


class PrepareConfig(Config):
    """Which data set to prepare, from what, and how to split it.

    Attributes:
        dataset: name of the data set; see ``iodine-kit datasets``.
        format: name of the storage format.
        generate: number of scenes to generate. Defaults to none: published files are read.
        source: published files: paths, folders, patterns or addresses. Defaults to the public address of the data set.
        layout: name of the layout of the source. Defaults to the layout that recognises the files.
        protocol: name of a published rule for splits, filter and crop; see ``iodine-kit protocols``.
        split: scenes per split, in the order of the source. A generated split does not depend on the other splits.
        seed: seed of the generator.
        skip_bad: whether to omit damaged records instead of stopping at the first one.
    """

    dataset: str
    format: str = "hdf5"
    generate: Annotated[int, Field(ge=1)] | None = None
    source: tuple[PathText, ...] = ()
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
                raise ValueError(f"'{name}' is not a valid name of a split: use letters, digits and '_'")
        return split


class PrepareExecution(Config):
    """How to execute the work; these settings never change the result.

    Attributes:
        workers: number of processes that decode, render, resize and encode, if the command names no larger one. A
            script that uses more than one must be guarded by ``if __name__ == "__main__"``.
        max_bad: largest share of damaged records, 0…1, that ``skip_bad`` accepts.
    """

    workers: Annotated[int, Field(ge=1, le=4096)] = 1
    max_bad: Annotated[float, Field(ge=0, le=1)] = 0.01
