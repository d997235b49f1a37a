"""The page of a data set as HTML. Each section is a function from the content to HTML, "" if it has nothing to show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from markupsafe import Markup

from iodine_kit.dataset_statistics import Distribution, Factor, SplitStatistics
from iodine_kit.formatting import percent, short_number, value_range
from iodine_kit.reporting.charts import class_chart, count_chart
from iodine_kit.reporting.dataset_page import tables
from iodine_kit.reporting.dataset_page.context import DatasetPage
from iodine_kit.reporting.dataset_page.tables import findings
from iodine_kit.reporting.report_page import RenderedSection
from iodine_kit.reporting.templating import fill
from iodine_kit.tables import Table

_RGB = ("red", "green", "blue")


def overview(page: DatasetPage) -> Markup:
    """The size of the data set, and what to know before training on it."""
    of, height, width = page.overall, *page.resolution
    objects = of.objects_per_scene
    counted = [("Objects per scene", value_range(objects.minimum, objects.maximum))] if objects.n else []
    of_masks = [
        ("Objects with pixels", f"{of.pixels_per_object.n:,}"),
        ("Median pixels per object", short_number(of.pixels_per_object.quantiles.get(0.5, float("nan")))),
        ("Background", percent(of.background_share.mean)),
        *([] if of.ignored_share is None else [("Ignored", percent(of.ignored_share.mean))]),
    ]
    headline = [
        ("Resolution", f"{height} × {width}"),
        *counted,
        *(of_masks if of.background_share.n else [("Masks", "none")]),
        ("Different images", f"{page.duplicates.distinct:,}"),
    ]
    return fill(
        "dataset_overview.html", page=page, headline=headline, findings=findings(page), splits=tables.splits_table(page)
    )


def scenes(page: DatasetPage) -> Markup:
    """The first scenes of every split with their masks."""
    return fill("dataset_scenes.html", page=page) if any(page.scenes.values()) else Markup()


def objects(page: DatasetPage) -> Markup:
    """The numbers of objects per scene."""
    of = page.overall.objects_per_scene
    if not of.n:
        return Markup()
    text = "An object counts if its factors say that it is visible or, without factors, if it has a pixel."
    if of.minimum == of.maximum:
        return _section({}, text=f"Every scene has {short_number(of.mean)} object{'' if of.mean == 1 else 's'}. {text}")
    charts = [
        count_chart(split.objects_per_scene.histogram, title=name, x_label="", unit="scenes")
        for name, split in page.parts.items()
        if split.objects_per_scene.n
    ]
    return _section({"fours": charts}, text=text)


def pixels(page: DatasetPage) -> Markup:
    """The sizes of objects and background, and the brightness of images."""
    of = page.overall
    charts = (
        []
        if not of.background_share.n
        else [
            _chart(of.pixels_per_object, title="Pixels per object", x_label="pixels", unit="objects"),
            _chart(of.background_share, title="Background", x_label="share of the image", unit="scenes"),
        ]
    )
    varied = of.pixels_per_object.std > 0
    return _section({"": charts}, [tables.areas_table(page)] * varied + [tables.channels_table(page)])


def factors(page: DatasetPage) -> Markup:
    """The factors of visible objects: first categorical ones, then numbers."""
    by_class = {name: factor for name, factor in page.overall.factors.items() if factor.classes}
    numbers = [
        (name, index, _component(name, index, factor))
        for name, factor in page.overall.factors.items()
        for index in range(len(factor.components))
    ]
    groups = {
        "threes classes": [
            class_chart(factor.classes, title=name, unit="objects") for name, factor in by_class.items()
        ],
        "threes": [
            _chart(_pick(page.overall, name, index), title=label, x_label="", unit="objects")
            for name, index, label in numbers
        ],
    }
    details = [tables.class_table(page, name) for name in by_class]
    details += [tables.number_table(page, label, partial(_pick, name=name, index=i)) for name, i, label in numbers]
    text = "Factors of visible objects, all splits together; the background does not count."
    return _section(groups, text=text, details=details) if details else Markup()


def duplicates(page: DatasetPage) -> Markup:
    """Images that occur more than once."""
    counts = page.duplicates
    if counts.distinct == page.overall.scenes:
        return _section({}, text="All images differ: no image occurs twice, in one split or in two.")
    text = (
        f"By a hash of all pixels, there are {counts.distinct:,} different images in {page.overall.scenes:,} scenes. "
        f"{counts.leaking:,} of them occur in more than one split."
    )
    return _section({}, [tables.shared_table(page), tables.examples_table(page)], text=text)


def provenance(page: DatasetPage) -> Markup:
    """How the data set was made, its lineage, and the command for this page."""
    return fill("dataset_provenance.html", context=page)


_SECTIONS = {
    "overview": ("Overview", overview),
    "scenes": ("Scenes", scenes),
    "objects": ("Objects", objects),
    "pixels": ("Pixels", pixels),
    "factors": ("Factors", factors),
    "duplicates": ("Repeated images", duplicates),
    "provenance": ("Provenance", provenance),
}


def render_dataset_page(page: DatasetPage) -> str:
    """The page with style and pictures inside and no network address. Same content, same bytes."""
    sections = [RenderedSection(name, title, render(page)) for name, (title, render) in _SECTIONS.items()]
    shown = [section for section in sections if section.body]
    return fill("dataset_page.html", title=page.title, summary=page.summary, sections=shown)


def _section(
    groups: Mapping[str, Sequence[Markup]],
    below: Sequence[Table] = (),
    *,
    text: str = "",
    details: Sequence[Table] = (),
) -> Markup:
    """Text, groups of charts by their style, tables, and tables that are folded at first."""
    drawn = {style: [chart for chart in group if chart] for style, group in groups.items()}
    return fill(
        "dataset_charts.html",
        text=text,
        groups={style: group for style, group in drawn.items() if group},
        tables=below,
        details=details,
    )


def _chart(numbers: Distribution, *, title: str, x_label: str, unit: str) -> Markup:
    """A histogram, or the number itself if all values are equal."""
    if numbers.n and numbers.minimum == numbers.maximum:
        value = percent(numbers.mean) if x_label.startswith("share") else short_number(numbers.mean)
        return fill("constant.html", title=title, unit=unit, value=value, n=numbers.n)
    return count_chart(numbers.histogram, title=title, x_label=x_label, unit=unit)


def _component(name: str, index: int, factor: Factor) -> str:
    if len(factor.components) == 1:
        return name
    colour = "colo" in name and len(factor.components) == len(_RGB)
    return f"{name}, {_RGB[index] if colour else f'component {index}'}"


def _pick(split: SplitStatistics, name: str, index: int) -> Distribution:
    factor = split.factors.get(name)
    return factor.components[index] if factor and index < len(factor.components) else Distribution()
