"""Scenes side by side with what the model made of them."""

from __future__ import annotations

import math

from markupsafe import Markup

from iodine_kit.reporting import pictures
from iodine_kit.reporting.context import ReportContext
from iodine_kit.reporting.formatting import number
from iodine_kit.reporting.sections._cards import build_card
from iodine_kit.reporting.templating import fill

ORDER = 20
TITLE = "Scenes"

# Wider pictures get a whole row of the page, so that none is shown below its native resolution there.
_LARGE = 64


def render(context: ReportContext) -> Markup | str:
    """A card for each scene, to be sorted by the first metric's score and stepped through; "" without scenes."""
    if not context.scenes:
        return ""
    name, metric = next(iter(context.metrics.items()), ("", None))
    errors = [
        pictures.absolute_error(s.image, s.reconstruction) for s in context.scenes if s.reconstruction is not None
    ]
    limit = pictures.error_limit(errors)
    cards = [build_card(scene, scene.scores.get(name, math.nan), context.slots, limit) for scene in context.scenes]
    last = max(len(card.steps) for card in cards) - 1
    means = list(metric.by_step) if metric else []
    return fill(
        "scenes.html",
        cards=cards,
        metric=metric.title if metric else "score",
        limit=f"{limit:g}" if errors else "",
        last=last,
        large=context.resolution[1] > _LARGE,
        means=[number(means[step]) if step < len(means) else "" for step in range(last + 1)],
    )
