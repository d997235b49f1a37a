"""What was measured, on what, and by which convention."""

from __future__ import annotations

from markupsafe import Markup

from iodine_kit.reporting.context import ReportContext
from iodine_kit.reporting.templating import fill

ORDER = 10
TITLE = "Summary"


def render(context: ReportContext) -> Markup | str:
    """The first metric as a headline, then all of them; see :class:`iodine_kit.reporting.sections.SectionPlugin`."""
    metrics = list(context.metrics.values())
    return fill("summary.html", context=context, metrics=metrics, headline=metrics[0] if metrics else None)
