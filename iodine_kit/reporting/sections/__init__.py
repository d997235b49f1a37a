"""Sections of the report: each module of this folder is one and offers what :class:`SectionPlugin` says."""

from __future__ import annotations

from typing import Protocol

from markupsafe import Markup

from iodine_kit.registry import Registry
from iodine_kit.reporting.context import ReportContext


class SectionPlugin(Protocol):
    """What a module of this folder offers. The page needs no other change to show a new section."""

    ORDER: int
    """Its place on the page: sections are sorted by it, then by name."""

    TITLE: str
    """Its heading, also in the page's table of contents."""

    def render(self, context: ReportContext) -> Markup | str:
        """The section's inner HTML, without the heading; "" if there is nothing to show: then the page omits it.

        A plain ``str`` is text and gets escaped; HTML is :class:`markupsafe.Markup`, for example from
        :func:`iodine_kit.reporting.templating.fill`.
        """


SECTIONS: Registry[SectionPlugin] = Registry("report section", "iodine_kit.reporting.sections", SectionPlugin)
