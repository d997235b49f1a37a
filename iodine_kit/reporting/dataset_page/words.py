"""Sentences about a data set, and its means with their deviations."""

from __future__ import annotations

from iodine_kit.dataset_statistics import Distribution
from iodine_kit.formatting import number, percent, short_number
from iodine_kit.reporting.dataset_page.context import DatasetPage


def spread(numbers: Distribution) -> str:
    """Mean and standard deviation, with as many decimals; only the mean of what is always the same."""
    if not numbers.std > 0:
        return short_number(numbers.mean)
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
