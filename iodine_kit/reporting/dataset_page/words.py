"""Figures of this page as people read them, and what they say."""

from __future__ import annotations

import math

from iodine_kit.dataset_statistics import Distribution
from iodine_kit.reporting.dataset_page.context import DatasetPage
from iodine_kit.reporting.formatting import number

NOTHING = "–"


def figure(value: float) -> str:
    """Three figures or a few more: ``"4"``, ``"3.52"``, ``"21.4"``, ``"1,204"``; ``"–"`` for what is undefined."""
    if not math.isfinite(value):
        return NOTHING
    size = abs(value)
    if value == round(value) and size < 1e9:
        return f"{value:,.0f}".replace("-", "−")
    if not 0.01 <= size < 1e9:
        return number(value)
    decimals = 0 if size >= 1000 else 1 if size >= 10 else 2
    return f"{value:,.{decimals}f}".replace("-", "−")


def percent(share: float) -> str:
    """``"75.5 %"``; a share that is not 0 is never shown as 0."""
    if not math.isfinite(share):
        return NOTHING
    return "< 0.1 %" if 0 < share < 0.0005 else f"{100 * share:.1f} %"


def interval(low: float, high: float) -> str:
    """``"2 to 5"``, or the one number that both are."""
    return figure(low) if low == high or not math.isfinite(low) else f"{figure(low)} to {figure(high)}"


def spread(numbers: Distribution) -> str:
    """Mean and standard deviation, with as many decimals; only the mean of what is always the same."""
    if not numbers.std > 0:
        return figure(numbers.mean)
    if not 0.01 <= max(abs(numbers.mean), numbers.std) < 1e6:
        return f"{number(numbers.mean)} ± {number(numbers.std)}"
    return f"{numbers.mean:,.2f} ± {numbers.std:,.2f}".replace("-", "−")


def findings(page: DatasetPage) -> list[tuple[str, bool]]:
    """Sentences on what one has to know before training on this, and whether to take heed."""
    found, of = page.duplicates, page.overall
    repeats, unseen, drawn = sum(found.repeats.values()), of.unseen_objects, of.pixels_per_object.n
    sentences = [
        (_count(found.leaking, "image occurs", "images occur", "in more than one split"), found.leaking > 0),
        (_count(repeats, "scene repeats", "scenes repeat", "an earlier image of its split"), repeats > 0),
    ]
    if of.without_objects:
        sentences.append((_count(of.without_objects, "scene is", "scenes are", "without any object"), True))
    if unseen:
        sentences.append((_count(unseen, "visible object owns", "visible objects own", "no pixel of the mask"), True))
    if drawn:
        share = percent(of.at_border / drawn)
        sentences.append((f"{share} of the objects touch the image's border, where they may be cut off.", False))
    else:
        sentences.append(("No mask shows an object: scores against these masks will be undefined.", True))
    return sentences


def _count(count: int, one: str, several: str, what: str) -> str:
    """``"No image occurs …"``, ``"1 image occurs …"``, ``"2 images occur …"``, as a sentence."""
    subject = f"No {one}" if count == 0 else f"{count:,} {one if count == 1 else several}"
    return f"{subject} {what}."
