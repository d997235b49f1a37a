"""How training went."""

from __future__ import annotations

from markupsafe import Markup

from iodine_kit.reporting.charts import figure
from iodine_kit.reporting.context import ReportContext
from iodine_kit.reporting.curves import thinning, training_plots
from iodine_kit.reporting.templating import fill

ORDER = 50
TITLE = "Training"


def render(context: ReportContext) -> Markup | str:
    """A curve for each column of the training log that has finite values, and how fast it went; "" without curves."""
    charts = [figure(plotted) for plotted in training_plots(context.training)]
    rows = len(context.training)
    if not charts:
        return ""
    return fill("training.html", charts=charts, rows=rows, thinning=thinning(rows), facts=context.training_facts)
