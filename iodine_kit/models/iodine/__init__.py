"""IODINE: iterative variational inference of object slots (Greff et al. 2019).

README.md in this folder lists every choice.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from iodine_kit.errors import ImageSizeError
from iodine_kit.models.iodine.arithmetic import arithmetic
from iodine_kit.models.iodine.config import DEFAULT_PRESETS, PRESETS, IodineConfig

if TYPE_CHECKING:
    from iodine_kit.models.iodine.model import Iodine

__all__ = [
    "DEFAULT_PRESETS", "PRESETS", "VERSION", "Config", "arithmetic", "build", "check_image", "test_time_options",
]  # fmt: skip

VERSION = 2
Config = IodineConfig


def build(config: IodineConfig, seed: int) -> Iodine:
    """Return a newly initialised model; the same seed gives the same weights."""
    import torch  # here, because loading torch takes seconds and configuration does not need it

    from iodine_kit.models.iodine.model import Iodine

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Iodine(config)


def check_image(config: IodineConfig, height: int, width: int) -> None:
    """Raise :class:`ImageSizeError` for images that are too small for the decoder or the refinement network."""
    drawn = config.decoder.patch * (config.decoder.kernel - 1) + 1
    refinement, layers = config.refinement, len(config.refinement.channels)
    smallest = max(drawn, (refinement.patch or refinement.stride) * refinement.stride ** (layers - 1))
    if min(height, width) < smallest:
        raise ImageSizeError(
            f"this network needs images of at least {smallest}×{smallest} pixels, but these are {height}×{width}: "
            "use larger images, fewer model.refinement.channels, or a smaller kernel or patch"
        )


def test_time_options(config: IodineConfig) -> Mapping[str, int]:
    """The numbers of slots K and of refinement steps T; inference may use others (sections 4.1 and 4.3)."""
    return {"slots": config.slots, "steps": config.steps}
