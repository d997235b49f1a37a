"""The report as one HTML document that needs only a browser."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from iodine_kit.registry import Registry
from iodine_kit.reporting.charts import series_css
from iodine_kit.reporting.context import ReportContext
from iodine_kit.reporting.sections import SECTIONS, SectionPlugin
from iodine_kit.reporting.templating import fill

_OF_FIRST = ("breakdown", "refinement", "distribution", "traversals", "representation", "training")
"""Sections that show only the first evaluation, and do not say so themselves."""


class RenderedSection(NamedTuple):
    """A section of the page; ``name`` is its anchor."""

    name: str
    title: str
    body: Markup | str


def render_page(context: ReportContext, sections: Registry[SectionPlugin] = SECTIONS) -> str:
    """The page with style, script and pictures inside and no network address. Same context, same bytes."""
    return fill(
        "page.html", title=context.title, summary=context.summary, sections=render_sections(context, sections),
        light=series_css(), dark=series_css(dark=True),
    )  # fmt: skip


def render_sections(context: ReportContext, sections: Registry[SectionPlugin] = SECTIONS) -> list[RenderedSection]:
    """All sections with content, in the order of the page."""
    plugins = [(name, sections.load(name)) for name in sections.names()]
    plugins.sort(key=lambda item: (item[1].ORDER, item[0]))
    rendered = [RenderedSection(name, plugin.TITLE, plugin.render(context)) for name, plugin in plugins]
    return [_labelled(section, context.evaluations) for section in rendered if section.body]


def _labelled(section: RenderedSection, evaluations: Sequence[str]) -> RenderedSection:
    """The section with the name of the evaluation that it shows, if the page compares several."""
    if not evaluations or section.name not in _OF_FIRST:
        return section
    return section._replace(body=fill("of_first.html", name=evaluations[0], body=section.body))
