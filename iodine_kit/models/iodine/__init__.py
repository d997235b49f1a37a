"""IODINE: iterative variational inference of object slots (Greff et al. 2019). README.md here lists every choice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from iodine_kit.errors import ImageSizeError
from iodine_kit.models.iodine.config import IodineConfig
from iodine_kit.models.iodine.presets import PRESETS

if TYPE_CHECKING:
    from iodine_kit.models.iodine.model import Iodine

__all__ = ["DEFAULT_PRESETS", "PRESETS", "VERSION", "Config", "build", "check_image", "test_time_options"]

VERSION = 2
DEFAULT_PRESETS = {
    "clevr": "release-clevr6",
    "multi-dsprites": "release-multi-dsprites",
    "tetrominoes": "release-tetrominoes",
}
Config = IodineConfig


def build(config: IodineConfig, seed: int) -> Iodine:
    """Return a newly initialised model; the same seed gives the same weights."""
    import torch  # here, because torch takes seconds to load and configuration does without it

    from iodine_kit.models.iodine.model import Iodine

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Iodine(config)


def check_image(config: IodineConfig, height: int, width: int) -> None:
    """Refuse images whose grid is smaller than the decoder's kernel, or too small for the refinement network."""
    drawn = config.decoder.patch * (config.decoder.kernel - 1) + 1
    refinement, layers = config.refinement, len(config.refinement.channels)
    smallest = max(drawn, (refinement.patch or refinement.stride) * refinement.stride ** (layers - 1))
    if min(height, width) < smallest:
        raise ImageSizeError(
            f"this net needs images of at least {smallest}×{smallest} pixels, and these are {height}×{width}: "
            "use larger images, fewer model.refinement.channels, or a smaller kernel or patch"
        )


def test_time_options(config: IodineConfig) -> Mapping[str, int]:
    """The numbers of slots K and of refinement steps T; inference may use others (sections 4.1 and 4.3)."""
    return {"slots": config.slots, "steps": config.steps}
