"""From the raw file to this page: what was made of what, and the command that makes the report again."""

from __future__ import annotations

from markupsafe import Markup

from iodine_kit.reporting.context import ReportContext
from iodine_kit.reporting.templating import fill

ORDER = 60
TITLE = "Lineage"


def render(context: ReportContext) -> Markup | str:
    """The chain of artifacts with their files and configuration, and the command; "" without either."""
    return fill("lineage.html", context=context) if context.lineage or context.command else ""
