"""What to evaluate, and how it is executed."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from iodine_kit.config import Config
from iodine_kit.errors import ConfigError, SchemaError
from iodine_kit.metrics import METRICS, Convention, MetricOptions, MetricPlugin

ALL = "all"
FIRST = "ari"
LARGEST = 4096
Metrics = dict[str, MetricPlugin]


class EvalConfig(Config):
    """What to evaluate.

    Attributes:
        metrics: names of the metrics; the first one chooses the best and the worst scenes. ``all`` means every metric
            for which the predictions have the data.
        convention: score of a scene whose adjusted Rand index is 0/0; docs/evaluation.md explains the choices.
        tolerance: tolerance of boundary metrics, as a share of the image diagonal.
        resolution: resolution at which masks are compared: ``model`` (as predicted), or height and width in pixels.
        interpolation: Pillow's filter that resizes soft masks to another resolution.
        resamples: number of bootstrap samples; 0 means no intervals.
        level: level of the bootstrap intervals.
        seed: seed of the bootstrap.
        table: format of the tables per scene and per object; ``parquet`` needs the package pyarrow (extra ``parquet``).
    """

    metrics: Annotated[tuple[str, ...], Field(min_length=1)] = (ALL,)
    convention: Convention = "exclude"
    tolerance: Annotated[float, Field(gt=0, le=0.5)] = 0.008
    resolution: Literal["model"] | int = "model"
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    resamples: Annotated[int, Field(ge=0, le=1_000_000)] = 2000
    level: Annotated[float, Field(gt=0, lt=1)] = 0.95
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    table: Literal["csv", "parquet"] = "csv"

    @field_validator("metrics")
    @classmethod
    def _each_once(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(names))

    @field_validator("resolution", mode="before")
    @classmethod
    def _a_size(cls, value: Any) -> Any:
        if value == "model" or (isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= LARGEST):
            return value
        raise ValueError(f'write "model" or a number of pixels from 1 to {LARGEST}')

    @property
    def rules(self) -> MetricOptions:
        """The choices that metrics ask for."""
        return MetricOptions(convention=self.convention, tolerance=self.tolerance)


class EvalExecution(Config):
    """How it is executed; no part of the key.

    Attributes:
        device: device that computes SSIM: ``cpu`` is fast for small images; ``auto`` uses a GPU if there is one.
        threads: CPU threads; 0 means the default of the libraries.
    """

    device: str = "cpu"
    threads: Annotated[int, Field(ge=0)] = 0


def check(config: EvalConfig) -> None:
    """Find what can be known to be wrong before any data is there."""
    require_parquet(config.table, "eval.table")
    for name in config.metrics:
        if name != ALL:
            METRICS.load(name)


def require_parquet(kind: str, key: str) -> None:
    """Raise :class:`ConfigError` if a table is to be parquet and pyarrow is not installed; ``key`` says what asks."""
    if kind == "parquet" and importlib.util.find_spec("pyarrow") is None:
        raise ConfigError(f"{key}: parquet needs the package pyarrow: install iodine-kit[parquet] or use csv")


def choose(names: Iterable[str], stored: set[str], path: Path) -> Metrics:
    """Load the metrics that were named; of ``all`` those that can be scored from the ``stored`` fields.

    Raises:
        SchemaError: if one that was named needs a field that the predictions at ``path`` do not have.
    """
    chosen: Metrics = {}
    for name in names:
        if name == ALL:
            chosen |= {other: metric for other, metric in _scorable(stored).items() if other not in chosen}
            continue
        metric = METRICS.load(name)
        if metric.NEEDS is not None and metric.NEEDS not in stored:
            raise SchemaError(
                f"{path}: metric '{name}' needs '{metric.NEEDS}', which was not stored: "
                f"infer again with '{_stored_as(metric.NEEDS)}' in infer.store, import it too, or leave the metric out"
            )
        chosen[name] = metric
    return chosen


def _scorable(stored: set[str]) -> Metrics:
    """Metrics of masks first, FG-ARI before all."""
    found = {name: METRICS.load(name) for name in METRICS.names()}
    found = {name: metric for name, metric in found.items() if metric.NEEDS is None or metric.NEEDS in stored}
    return dict(sorted(found.items(), key=lambda one: (one[0] != FIRST, one[1].NEEDS or "", one[0])))


def _stored_as(field: str) -> str:
    """The name under which ``infer.store`` knows a field of the predictions."""
    return {"nll": "elbo", "kl": "elbo", "latent_loc": "latents", "latent_scale": "latents"}.get(field, field)
