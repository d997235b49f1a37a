"""The page as one HTML document. Same material, same bytes."""

from __future__ import annotations

from iodine_kit.reporting.charts import figure
from iodine_kit.reporting.charts.marks import series_css
from iodine_kit.reporting.page import RenderedSection
from iodine_kit.reporting.pictures import png
from iodine_kit.reporting.study_page.context import StudyPage
from iodine_kit.reporting.templating import fill

_SECTIONS = {"findings": "What was seen", "figures": "Tables", "method": "How it was done", "lineage": "Lineage"}


def render_study_page(page: StudyPage) -> str:
    """The whole page: style and pictures inside, no address of the network."""
    charts = [figure(plotted) for plotted in page.plots]
    picture = (png(page.picture[0]), page.picture[1]) if page.picture else None
    shown = [
        RenderedSection(name, title, fill(f"study_{name}.html", page=page, charts=charts, picture=picture))
        for name, title in _SECTIONS.items()
    ]
    return fill(
        "study_page.html", title=page.title, summary=page.question, sections=shown,
        light=series_css(), dark=series_css(dark=True),
    )  # fmt: skip
