"""Scenes side by side with what the model made of them."""

from __future__ import annotations

import json
import math
from typing import Any

from markupsafe import Markup

from iodine_kit.formatting import number
from iodine_kit.reporting import pictures
from iodine_kit.reporting.context import MetricSummary, ReportContext, SceneView
from iodine_kit.reporting.sections._cards import Card, build_card, error_sample
from iodine_kit.reporting.templating import fill

ORDER = 20
TITLE = "Scenes"
_MOST_VIEWS = 5
"""Pictures of a scene in one line: with more, their captions have no room."""


def render(context: ReportContext) -> Markup | str:
    """A card for each scene, to be sorted by any metric, filtered, and stepped through; "" without scenes."""
    if not context.scenes:
        return ""
    samples = [error_sample(scene) for scene in context.scenes]
    limit = pictures.error_limit(samples)
    cards = _cards(context, limit)
    last = max(len(card.scene.step_mask) for card in cards) - 1
    height, width = cards[0].scene.image.shape[:2]
    name, metric = next(iter(context.metrics.items()), ("", None))
    return fill(
        "scenes.html",
        cards=cards,
        metrics=context.metrics,
        metric=metric.title if metric else "score",
        scores=[card.scene.scores.get(name, math.nan) for card in cards],
        limit=f"{limit:g}" if any(len(sample) for sample in samples) else "",
        last=last,
        size=(height, width),
        views=views_in_line(max(len(card.views) for card in cards)),
        large=not pictures.is_exact(height, width),
        quality=pictures.QUALITY,
        looks=_looks(cards),
        counts=_counts(cards),
        note=_left_out(context, len(cards)),
        masks=cards[0].scene.true_mask is not None,
        first=next(iter(context.evaluations), ""),
        ignores=any(card.scene.ignores for card in cards),
        data=Markup(_json(context, cards, last)),
    )


def views_in_line(pictures: int) -> int:
    """How many of a scene's pictures are in one line: at most five, and as equally many in all lines as possible."""
    return math.ceil(pictures / math.ceil(pictures / _MOST_VIEWS))


def _cards(context: ReportContext, limit: float) -> list[Card]:
    """As many as there is room for, and the first one in any case."""
    cards: list[Card] = []
    size = 0
    first, metric = next(iter(context.evaluations), ""), next(iter(context.metrics), "")
    for scene in context.scenes:
        card = build_card(scene, context.slots or 0, limit, first, scene.scores.get(metric, math.nan))
        size += card.bytes
        if cards and context.most_bytes is not None and size > context.most_bytes:
            break
        cards.append(card)
    return cards


def _left_out(context: ReportContext, shown: int) -> str:
    total = max(context.total, len(context.scenes))
    if shown >= total:
        return f"All {total:,} scenes are here." if total > 1 else ""
    why = "to keep the page small; report.scenes=N sets how many" if shown < len(context.scenes) else "report.scenes"
    return f"{shown:,} of {total:,} scenes are here ({why})."


def _looks(cards: list[Card]) -> list[tuple[str, str]]:
    """How slots can be shown: (name, words), the first one at once."""
    have = set(cards[0].strips)
    looks = [("both", "in its mask")] if {"components", "opacity"} <= have else []
    looks += [("component", "component")] if "components" in have else []
    return looks + ([("mask", "mask")] if "opacity" in have else [])


def _counts(cards: list[Card]) -> list[tuple[int, int]]:
    """(number of objects, scenes that have so many), if it is known and differs."""
    counts = [card.scene.objects for card in cards if card.scene.objects is not None]
    found = [(count, counts.count(count)) for count in sorted(set(counts))]
    return found if len(found) > 1 else []


def _json(context: ReportContext, cards: list[Card], last: int) -> str:
    """What the page's script needs, safe within a script element."""
    metrics = {
        name: {
            "title": metric.title,
            "means": _means(metric, last),
            "scores": [_score(card.scene, name) for card in cards],
            "texts": [number(card.scene.scores.get(name, math.nan)) for card in cards],
        }
        for name, metric in context.metrics.items()
    }
    data: dict[str, Any] = {"metrics": metrics, "objects": [card.scene.objects for card in cards]}
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _means(metric: MetricSummary, last: int) -> list[str]:
    values = metric.by_step
    return [number(values[step]) if step < len(values) else "" for step in range(last + 1)]


def _score(scene: SceneView, name: str) -> float | None:
    value = float(scene.scores.get(name, math.nan))
    return value if math.isfinite(value) else None
