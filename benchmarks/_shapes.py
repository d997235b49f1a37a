"""What training and inference are measured on: nets and images, and the ways to compute them."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from iodine_kit.models.iodine import PRESETS, Config
from iodine_kit.models.iodine.config import FLAT_INPUTS, SPATIAL_INPUTS


@dataclass(frozen=True)
class Shape:
    """A net and the images it is given.

    Attributes:
        name: of the shape.
        size, batch: of square images.
        model: the net's configuration, as far as it differs from the default, which is the release's for CLEVR6.
    """

    name: str
    size: int
    batch: int
    model: Mapping[str, Any]

    @property
    def config(self) -> Config:
        """The net's whole configuration."""
        return Config(**self.model)


@dataclass(frozen=True)
class Variant:
    """A way to compute.

    Attributes:
        name: of the variant.
        computation: of the model.
        model: what it changes in the net's configuration.
        precision: of products and convolutions, to compare with a bare convolution's of the same.
        compiled: whether ``torch.compile`` makes the step.
    """

    name: str
    computation: Mapping[str, Any] = field(default_factory=dict)
    model: Mapping[str, Any] = field(default_factory=dict)
    precision: str = "float32"
    compiled: bool = False


def _net(slots: int, latent: int, channels: int, decoder: int, refinement: int, units: int) -> dict[str, Any]:
    return {
        "slots": slots, "steps": 5, "latent": latent,
        "decoder": {"kernel": 3, "channels": [channels] * decoder},
        "refinement": {"kernel": 3, "channels": [channels] * refinement, "mlp": [units], "lstm": units},
    }  # fmt: skip


_PIPELINES = Path(__file__).parent.parent / "pipelines"


def _of_pipeline(name: str, size: int) -> Shape:
    """The net of a pipeline file, and its batch."""
    tables = tomllib.loads((_PIPELINES / f"{name}.toml").read_text("utf-8"))
    return Shape(name, size, tables["train"]["batch_size"], tables["model"])


SHAPES = {
    shape.name: shape
    for shape in (
        Shape("35", 35, 8, _net(slots=4, latent=32, channels=32, decoder=4, refinement=3, units=128)),
        Shape("64", 64, 2, _net(slots=6, latent=16, channels=32, decoder=5, refinement=3, units=128)),
        Shape("128", 128, 1, _net(slots=7, latent=64, channels=64, decoder=4, refinement=4, units=256)),
        Shape("release-tetrominoes", 35, 8, PRESETS["release-tetrominoes"]),
        Shape("release-multi-dsprites", 64, 2, PRESETS["release-multi-dsprites"]),
        Shape("release-clevr6", 128, 1, PRESETS["release-clevr6"]),
        _of_pipeline("tetrominoes", 35),
        _of_pipeline("multi_dsprites", 64),
        _of_pipeline("quickstart", 14),
        Shape("minute", 16, 1, _net(slots=2, latent=4, channels=8, decoder=2, refinement=2, units=8)),
    )
}
USUAL = tuple(name for name in SHAPES if name.startswith("release-") or name in ("35", "64", "128"))

_ALL_STOPPED = {"stopped": [*SPATIAL_INPUTS, *FLAT_INPUTS], "truncate": True}
PLAIN, CLOSED = Variant("plain", {"closed_form": False}), Variant("closed form")
TRAINING = {
    variant.name: variant
    for variant in (
        PLAIN,
        CLOSED,
        Variant("recompute", {"recompute": True}),
        Variant("inputs stopped", model=_ALL_STOPPED),
        Variant("bf16", {"precision": "bfloat16"}, precision="bf16"),
        Variant("bf16, inputs stopped", {"precision": "bfloat16"}, _ALL_STOPPED, precision="bf16"),
        Variant("tf32", precision="tf32"),
        Variant("compiled", compiled=True),
        Variant("bf16, compiled", {"precision": "bfloat16"}, precision="bf16", compiled=True),
    )
}
INFERENCE = {variant.name: variant for variant in (PLAIN, CLOSED)}
ON_CPU = ("plain", "closed form", "recompute", "inputs stopped")
"""Variants of training that are measured everywhere; the others only on GPUs, unless asked for."""
