"""The tables of the page on a data set, one row per split and one for all of them, and its sentences."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from iodine_kit.dataset_statistics import Distribution, SplitStatistics
from iodine_kit.formatting import DASH, number, percent, short_number
from iodine_kit.reporting.dataset_page.context import DatasetPage
from iodine_kit.tables import Cell, Table


def spread(numbers: Distribution) -> str:
    """Mean and standard deviation, with as many decimals; only the mean of what is always the same."""
    if not numbers.std > 0:
        return short_number(numbers.mean)
    if not 0.01 <= max(abs(numbers.mean), numbers.std) < 1e6:
        return f"{number(numbers.mean)} ± {number(numbers.std)}"
    return f"{numbers.mean:,.2f} ± {numbers.std:,.2f}".replace("-", "−")


def findings(page: DatasetPage) -> list[tuple[str, bool]]:
    """Warnings and notes about the data set; the flag marks warnings."""
    found, of = page.duplicates, page.overall
    repeats, unseen, drawn = sum(found.repeats.values()), of.unseen_objects, of.pixels_per_object.n
    sentences = [
        (_count(found.leaking, "image occurs", "images occur", "in more than one split"), found.leaking > 0),
        (_count(repeats, "scene repeats", "scenes repeat", "an earlier image of its split"), repeats > 0),
    ]
    if page.without_masks:
        sentences.append((page.without_masks, True))
    if of.ignored_share is not None:
        share = percent(of.ignored_share.mean)
        text = f"{share} of the pixels of masks are ignored: they count as neither object nor background."
        sentences.append((text, False))
    if of.without_objects:
        sentences.append((_count(of.without_objects, "scene is", "scenes are", "without any object"), True))
    if unseen:
        sentences.append((_count(unseen, "visible object owns", "visible objects own", "no pixel of the mask"), True))
    if drawn:
        share = percent(of.at_border / drawn)
        sentences.append((f"{share} of the objects touch the image's border, where they may be cut off.", False))
    elif of.background_share.n:
        sentences.append(("No mask shows an object: scores against these masks will be undefined.", True))
    return sentences


def _count(count: int, one: str, several: str, what: str) -> str:
    """``"No image occurs …"``, ``"1 image occurs …"``, ``"2 images occur …"``, as a sentence."""
    subject = f"No {one}" if count == 0 else f"{count:,} {one if count == 1 else several}"
    return f"{subject} {what}."


Row = Sequence[Cell]


def splits_table(page: DatasetPage) -> Table:
    """The most important figures of every split."""
    ignores = page.overall.ignored_share is not None
    heads = ("Split", "Scenes", "Objects per scene", "Without objects", "Pixels per object", "Background",
             *["Ignored"] * ignores, "At border", "Repeated images")  # fmt: skip

    def row(name: str, split: SplitStatistics) -> Row:
        at_border = split.at_border / split.pixels_per_object.n if split.pixels_per_object.n else float("nan")
        return (
            name,
            split.scenes,
            spread(split.objects_per_scene),
            DASH if split.without_objects is None else split.without_objects,
            short_number(split.pixels_per_object.quantiles.get(0.5, float("nan"))),
            percent(split.background_share.mean),
            *([] if split.ignored_share is None else [percent(split.ignored_share.mean)]),
            percent(at_border),
            page.repeats[name],
        )

    caption = (
        "Objects per scene as mean ± standard deviation, pixels per object as median, background as mean share. "
        "Repeated images are counted within a split; of all together, across them too."
    )
    return _table(page, caption, heads, row)


def areas_table(page: DatasetPage) -> Table:
    """Quantiles of objects' sizes in pixels, and as a share of the image."""
    at = (0.05, 0.25, 0.5, 0.75, 0.95)
    heads = ("Split", "Objects", "Smallest", "5 %", "25 %", "Median", "75 %", "95 %", "Largest")

    def row(name: str, split: SplitStatistics) -> Row:
        pixels, share = split.pixels_per_object, split.share_per_object
        ends = [(pixels.minimum, share.minimum), (pixels.maximum, share.maximum)]
        between = [(pixels.quantiles.get(q, ends[0][0]), share.quantiles.get(q, ends[0][1])) for q in at]
        sizes = [f"{short_number(value)} ({percent(part)})" for value, part in (ends[0], *between, ends[1])]
        return name, pixels.n, *(sizes if pixels.n else [DASH] * len(sizes))

    return _table(page, "Pixels per object, and as a share of the image, by quantile.", heads, row)


def channels_table(page: DatasetPage) -> Table:
    """Mean and standard deviation of each channel, in 8 bits and in [0, 1]."""
    heads = ("Split", "Red", "Green", "Blue", "Red in [0, 1]", "Green in [0, 1]", "Blue in [0, 1]")

    def row(name: str, split: SplitStatistics) -> Row:
        unit = [channel.scaled(1 / 255) for channel in split.channels]
        eight = [f"{channel.mean:.2f} ± {channel.std:.2f}" for channel in split.channels]
        return name, *eight, *(f"{channel.mean:.4f} ± {channel.std:.4f}" for channel in unit)

    return _table(page, "Image values over all pixels: mean ± standard deviation.", heads, row)


def class_table(page: DatasetPage, name: str) -> Table:
    """A categorical factor: objects and their share by split."""
    parts = page.parts
    classes = list(page.overall.factors[name].classes)

    def cell(split: SplitStatistics, kind: str) -> str:
        counts = split.factors[name].classes if name in split.factors else {}
        total = sum(counts.values())
        return f"{counts.get(kind, 0):,} ({percent(counts.get(kind, 0) / total)})" if total else DASH

    rows = [(kind, *(cell(split, kind) for split in parts.values())) for kind in classes]
    return Table((name, *parts), rows, f"{name}: visible objects, and their share of the split's.")


def number_table(page: DatasetPage, label: str, pick: Callable[[SplitStatistics], Distribution]) -> Table:
    """A numerical factor's figures by split."""
    heads = ("Split", "Objects", "Least", "Mean ± sd", "Greatest", "Not finite")

    def row(name: str, split: SplitStatistics) -> Row:
        n = pick(split)
        return name, n.n, short_number(n.minimum), spread(n), short_number(n.maximum), n.undefined

    return _table(page, f"{label}: visible objects.", heads, row)


def shared_table(page: DatasetPage) -> Table:
    """Which scenes of a split have an image that another split has too."""
    names, found = page.split_names, page.duplicates
    rows: list[Row] = [
        (split, *(found.repeats[split] if other == split else found.shared[split][other] for other in names))
        for split in names
    ]
    caption = (
        "Scenes of a row's split whose image a column's has too; in its own column, those that repeat an earlier one."
    )
    return Table(("Scenes of", *(f"also in {name}" for name in names)), rows, caption)


def examples_table(page: DatasetPage) -> Table:
    """The first few scenes that repeat an image."""
    return Table(("First occurs as", "and again as"), page.examples, "The first of them.")


def _table(page: DatasetPage, caption: str, heads: Sequence[str], row: Callable[[str, SplitStatistics], Row]) -> Table:
    parts = page.parts
    rows = [row(name, split) for name, split in parts.items()]
    return Table(heads, rows, caption, total=len(parts) > 1)
