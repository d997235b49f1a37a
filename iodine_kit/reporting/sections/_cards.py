"""The pictures of one scene."""

from __future__ import annotations

import math
from dataclasses import dataclass

from iodine_kit.reporting import colours, pictures
from iodine_kit.reporting.context import SceneView


@dataclass(frozen=True)
class Picture:
    """A picture of a card: caption, alternative text, data URI, and the refinement step if it shows one."""

    caption: str
    alt: str
    uri: str


@dataclass(frozen=True)
class Slot:
    """A slot's component times mask; ``found`` says what it matches, in ``colour`` ``#rrggbb``."""

    picture: Picture
    found: str
    colour: str


@dataclass(frozen=True)
class Card:
    """A scene's pictures; ``steps`` are its predicted masks after 0, 1, … T refinement steps."""

    key: str
    score: float
    before: tuple[Picture, ...]
    steps: tuple[Picture, ...]
    after: tuple[Picture, ...]
    slots: tuple[Slot, ...]

    @property
    def order(self) -> str:
        """The score for sorting; "" if it is undefined."""
        return repr(float(self.score)) if math.isfinite(self.score) else ""


def build_card(scene: SceneView, score: float, slots: int, limit: float) -> Card:
    """Draw a scene; ``limit`` is the error shown brightest. What the scene does not have is left out.

    Slots are matched with entities on the last step, so that a slot keeps its colour through all of them.
    """
    slots = max(slots, int(scene.step_mask.max()) + 1)
    shared = colours.overlap(scene.true_mask, scene.step_mask[-1], slots)
    match = colours.match_slots(shared)
    palette = colours.slot_colours(shared, match)
    true = pictures.png(scene.true_mask, colours.entity_colours(shared.shape[1]))
    return Card(
        key=scene.key,
        score=score,
        before=(
            Picture("input", f"Input image of scene {scene.key}", pictures.png(scene.image)),
            Picture("true mask", f"True mask of scene {scene.key}", true),
        ),
        steps=tuple(
            Picture("predicted", f"Predicted mask of scene {scene.key}, step {step}", pictures.png(mask, palette))
            for step, mask in enumerate(scene.step_mask)
        ),
        after=_reconstruction(scene, limit),
        slots=tuple(_slot(scene, index, int(match[index]), palette[index].tobytes().hex()) for index in _drawn(scene)),
    )


def _reconstruction(scene: SceneView, limit: float) -> tuple[Picture, ...]:
    if scene.reconstruction is None:
        return ()
    error = pictures.absolute_error(scene.image, scene.reconstruction)
    picture = pictures.png(pictures.to_bytes(scene.reconstruction))
    return (
        Picture("reconstruction", f"Reconstruction of scene {scene.key}", picture),
        Picture("error", f"Absolute error of scene {scene.key}", pictures.error_picture(error, limit)),
    )


def _drawn(scene: SceneView) -> range:
    return range(0 if scene.soft_mask is None or scene.component is None else len(scene.component))


def _slot(scene: SceneView, index: int, entity: int, colour: str) -> Slot:
    assert scene.component is not None and scene.soft_mask is not None
    found = "background" if entity == 0 else f"object {entity}" if entity > 0 else "no match"
    alt = f"Component of slot {index} times its mask, scene {scene.key}: {found}"
    picture = pictures.slot_picture(scene.component[index], scene.soft_mask[index])
    return Slot(Picture(f"slot {index}", alt, picture), found, f"#{colour}")
