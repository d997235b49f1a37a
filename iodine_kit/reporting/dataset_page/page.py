"""The page as one HTML document that needs nothing but a browser."""

from __future__ import annotations

from iodine_kit.reporting.dataset_page import sections
from iodine_kit.reporting.dataset_page.context import DatasetPage
from iodine_kit.reporting.page import RenderedSection
from iodine_kit.reporting.templating import fill

_SECTIONS = {
    "overview": ("Overview", sections.overview),
    "scenes": ("Scenes", sections.scenes),
    "objects": ("Objects", sections.objects),
    "pixels": ("Pixels", sections.pixels),
    "factors": ("Factors", sections.factors),
    "duplicates": ("Repeated images", sections.duplicates),
    "provenance": ("Provenance", sections.provenance),
}


def render_dataset_page(page: DatasetPage) -> str:
    """The whole page: style and pictures inside, no address of the network. Same material, same bytes."""
    rendered = [RenderedSection(name, title, render(page)) for name, (title, render) in _SECTIONS.items()]
    shown = [section for section in rendered if section.body]
    return fill("dataset_page.html", title=page.title, summary=page.summary, sections=shown)
