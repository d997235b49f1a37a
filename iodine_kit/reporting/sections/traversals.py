"""What the latent dimensions draw: one slot decoded with one dimension moved."""

from __future__ import annotations

import numpy as np
from markupsafe import Markup

from iodine_kit.records import Bytes
from iodine_kit.reporting import pictures
from iodine_kit.reporting.context import ReportContext, Traversal
from iodine_kit.reporting.pictures import rgb_strip
from iodine_kit.reporting.templating import fill

ORDER = 44
TITLE = "Latent traversals"
_GAP, _INK = 1, 96


def render(context: ReportContext) -> Markup | str:
    """A block for every moved slot, a row for every dimension; "" without traversals."""
    if not context.traversals:
        return ""
    reach = float(np.abs(context.traversals[0].offset).max())
    blocks = [(traversal, pictures.png(traversal.image), list(_rows(traversal))) for traversal in context.traversals]
    return fill("traversals.html", blocks=blocks, reach=f"{reach:g}")


def _rows(traversal: Traversal) -> list[tuple[int, str, str]]:
    """(dimension, the slot alone, the whole scene), the two as strips."""
    return [
        (int(dimension), rgb_strip(_spaced(component)), rgb_strip(_spaced(blend)))
        for dimension, component, blend in zip(traversal.dimension, traversal.component, traversal.blend, strict=True)
    ]


def _spaced(frames_VHWC: Bytes) -> list[Bytes]:
    """The frames with a grey line between them."""
    framed = np.pad(frames_VHWC, ((0, 0), (0, 0), (0, _GAP), (0, 0)), constant_values=_INK)
    return [*framed[:-1], frames_VHWC[-1]]
