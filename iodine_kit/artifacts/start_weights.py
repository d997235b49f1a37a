"""Warm start: the weights that a run starts from instead of random ones, and how its identity names them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iodine_kit.errors import (
    ArtifactCorruptError,
    ConfigError,
    CorruptDataError,
    SchemaError,
    SourceError,
)
from iodine_kit.pretrained import PREFIX, card, weights
from iodine_kit.runner import Tables
from iodine_kit.store import Reference, SourceFile, Store
from iodine_kit.system import storage_errors, to_path
from iodine_kit.training.run_files import WEIGHTS
from iodine_kit.untrusted.folders import printable

if TYPE_CHECKING:
    from torch import nn

ROLE = "start"
"""Role of the run that another one starts from, among the inputs of the latter."""
KEY = "from"


@dataclass(frozen=True)
class Start:
    """Weights to start from. Optimiser, averages, step and schedules start as in any other run.

    Attributes:
        place: the run, file or pretrained model, as the user named it.
        data: bytes of the safetensors file, read once: a checkpoint may be deleted before training starts.
        inputs: the run that the weights come from, by role; empty for a file.
        sources: the file that the weights come from; empty for a run.
        model: configuration of the model of these weights, with its name, where it is known.
    """

    place: str
    data: bytes = field(repr=False)
    inputs: dict[str, Reference]
    sources: tuple[SourceFile, ...] = ()
    model: Mapping[str, Any] = field(default_factory=dict)

    @property
    def sha256(self) -> str:
        """Hash of the file."""
        return self.sources[0].sha256 if self.sources else hashlib.sha256(self.data).hexdigest()

    def fill(self, model: nn.Module) -> dict[str, Any]:
        """Copy the weights into ``model``; return facts: the place, the file's sha256 and a checkpoint's step.

        Raises:
            SchemaError: if they belong to another network. K, T and β are not part of a network's weights and may
                differ.
            CorruptDataError: if the file is damaged, or no safetensors file.
        """
        from iodine_kit.training.checkpoint import fill, read_weights

        try:
            weights = read_weights(self.data, Path(self.place))
        except ArtifactCorruptError as error:
            raise CorruptDataError(f"train.{KEY}: {error}") from None
        try:
            fill(model, weights.tensors, f"train.{KEY} {self.place}")
        except SchemaError as error:
            advice = "give the configuration that the weights were trained with (--pipeline, --set model.…)"
            raise SchemaError(f"{error}; {advice}") from None
        step = {} if weights.step is None else {"step": weights.step}
        return {"from": self.place, "sha256": self.sha256, **step}


def start_place(tables: Tables) -> str | None:
    """The value of ``train.from``; ``None`` if it is missing or "none"."""
    place = tables.get("train", {}).get(KEY)
    if place is not None and not isinstance(place, str):
        raise ConfigError(f"train.{KEY}: name a run or a .safetensors file (given: {place!r})")
    return None if place in (None, "none") else place


def find_start(tables: Tables, store: Store) -> Start | None:
    """Read the weights that ``train.from`` names: a file, a run of ``store``, or ``pretrained:NAME``.

    Raises:
        UnknownNameError: if no pretrained model has this name.
        SourceError: if there is no such file.
        ArtifactNotFoundError: if there is no such run.
    """
    place = start_place(tables)
    if place is None:
        return None
    path = to_path(place)
    if place.startswith(PREFIX):
        return replace(of_bytes(place, weights(place), place), model=card(place).model)
    if path.is_file():
        return of_bytes(place, _read(path), printable(path.resolve().name))
    if path.suffix == ".safetensors":
        raise SourceError(f"train.{KEY}: {path}: no such file")
    run = store.usable(store.open(place, "run"))
    return Start(place, _read(run.path / WEIGHTS), {ROLE: run.reference}, model=run.config["model"])


def of_bytes(place: str, data: bytes, name: str) -> Start:
    """A start from a file outside the store, which its hash identifies."""
    source = SourceFile(name=name, sha256=hashlib.sha256(data).hexdigest(), bytes=len(data), location=place)
    return Start(place, data, {}, (source,))


def _read(path: Path) -> bytes:
    with storage_errors(path):
        return path.read_bytes()
