"""The pictures of one scene."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from iodine_kit.formatting import fixed
from iodine_kit.records import Array, Bytes
from iodine_kit.reporting import colours, pictures
from iodine_kit.reporting.colours import coloured_slots
from iodine_kit.reporting.context import SceneView


@dataclass(frozen=True)
class Picture:
    """A frame of one of a card's strips.

    Attributes:
        strip: name of the strip; ``frame`` is the picture's place in it, or the first of several steps.
        note: text below the caption.
        steps: how many frames there are to step through; 0 for a single picture.
        colour: of a swatch before the caption, ``#rrggbb``, or "".
    """

    strip: str
    frame: int
    caption: str
    alt: str
    note: str = ""
    steps: int = 0
    colour: str = ""


@dataclass(frozen=True)
class Card:
    """A scene: its strips as name → (data URI, number of frames), and the places of its pictures in them.

    ``slots`` are components. They are in the strip ``components``, and their masks are in the same places of the strip
    ``opacity``; a strip is missing if its data were not stored.
    """

    scene: SceneView
    strips: dict[str, tuple[str, int]]
    views: tuple[Picture, ...]
    slots: tuple[Picture, ...]

    @property
    def bytes(self) -> int:
        """Of all strips in the page."""
        return sum(len(uri) for uri, _ in self.strips.values())


def build_card(scene: SceneView, slots: int, limit: float, name: str = "", score: float = np.nan) -> Card:
    """Draw a scene; ``limit`` is the error shown brightest. Pictures that the scene does not have are omitted.

    ``name`` and ``score`` are of the predictions, where those of others are beside them.

    Slots are matched with entities on the last step, so that a slot keeps its colour through all of them.
    """
    true, outside = scene.true_mask, scene.ignored
    match, palette = coloured_slots(true, scene.step_mask[-1], max(slots, int(scene.step_mask.max()) + 1), outside)
    masks = [] if true is None else [colours.hatched(true, colours.entity_colours(256), outside)]
    masks += [(mask, palette) for mask in scene.step_mask]
    masks += [(mask, coloured_slots(true, mask, int(mask.max()) + 1, outside)[1]) for _, mask, _ in scene.others]
    seen = _pictures(scene, limit)
    strips = {"masks": (pictures.mask_strip(masks), len(masks)), "seen": (pictures.rgb_strip(seen), len(seen))}
    if scene.component is not None:
        strips["components"] = (pictures.rgb_strip(list(scene.component)), len(scene.component))
    if scene.soft_mask is not None:
        strips["opacity"] = (pictures.opacity_strip(scene.soft_mask), len(scene.soft_mask))
    return Card(scene, strips, tuple(_views(scene, len(seen), name, score)), tuple(_slots(scene, match, palette)))


def error_sample(scene: SceneView) -> Array:
    """Some of a scene's absolute errors, at most 4096, evenly; none if it has no reconstruction."""
    if scene.reconstruction is None:
        return np.zeros(0)
    error = pictures.absolute_error(scene.image, scene.reconstruction).ravel()
    result: Array = error[:: max(1, error.size // 4096)]
    return result


def _pictures(scene: SceneView, limit: float) -> list[Bytes]:
    if scene.reconstruction is None:
        return [scene.image]
    error = pictures.absolute_error(scene.image, scene.reconstruction)
    return [scene.image, pictures.to_bytes(scene.reconstruction), pictures.error_colours(error, limit)]


def _views(scene: SceneView, seen: int, own: str, score: float) -> Iterator[Picture]:
    steps, first = len(scene.step_mask), int(scene.true_mask is not None)
    yield Picture("seen", 0, "input", f"Input image of scene {scene.key}")
    if first:
        yield Picture("masks", 0, "true mask", f"True mask of scene {scene.key}")
    alt = f"Mask predicted by {own} of scene {scene.key}" if own else f"Predicted mask of scene {scene.key}"
    yield Picture("masks", first, own or "predicted", alt, _note(score) if own else "", steps=steps)
    for place, (name, _, one) in enumerate(scene.others):
        alt = f"Mask predicted by {name} of scene {scene.key}"
        yield Picture("masks", first + steps + place, name, alt, _note(one))
    if seen > 1:
        yield Picture("seen", 1, "reconstruction", f"Reconstruction of scene {scene.key}")
        yield Picture("seen", 2, "error", f"Absolute error of scene {scene.key}")


def _note(score: float) -> str:
    return "" if np.isnan(score) else fixed(score, 4)


def _slots(scene: SceneView, match: Array, palette: Bytes) -> Iterator[Picture]:
    drawn = scene.soft_mask if scene.component is None else scene.component
    for index in range(0 if drawn is None else len(drawn)):
        entity = int(match[index]) if index < len(match) else -1
        no_match = "no match" if scene.true_mask is not None else ""
        found = "background" if entity == 0 else f"object {entity}" if entity > 0 else no_match
        colour = palette[index].tobytes().hex() if index < len(palette) else "000000"
        alt = f"Slot {index} of scene {scene.key}{': ' if found else ''}{found}"
        yield Picture("components", index, f"slot {index}", alt, found, colour=f"#{colour}")
