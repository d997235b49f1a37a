"""The report's charts and pictures as files of their own, for papers, slides and repositories."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence

from PIL import Image

from iodine_kit.errors import SourceError
from iodine_kit.reporting.animation import gif, refinement_frames
from iodine_kit.reporting.charts import Plot
from iodine_kit.reporting.charts.standalone import svg
from iodine_kit.reporting.context import ReportContext
from iodine_kit.reporting.curves import training_plots
from iodine_kit.reporting.sections.breakdown import breakdown_plots
from iodine_kit.reporting.sections.comparison import comparison_plots
from iodine_kit.reporting.sections.distribution import elbo_plot, spread_plot
from iodine_kit.reporting.sections.refinement import refinement_plots
from iodine_kit.reporting.svg_to_png import png_of

ANIMATED = "refinement.gif"
_WIDTH, _MOVING = 1400, 6
Plots = Callable[[ReportContext], Sequence[Plot | None]]

_FIGURES: Mapping[str, tuple[str, Plots]] = {
    "distribution": ("Distribution", lambda c: [_spread(c), elbo_plot(c)[0]]),
    "breakdown": ("Breakdown", breakdown_plots),
    "refinement": ("Refinement", refinement_plots),
    "training": ("Training", lambda c: training_plots(c.training)),
    "comparison": ("Comparison", lambda c: comparison_plots(c.comparison) if c.comparison else []),
}


def figure_files(context: ReportContext) -> tuple[dict[str, bytes], str]:
    """Files by name: every chart that has something to show as SVG and PNG, and the moving picture of refinement.

    Returns:
        The files, and a sentence if there are no PNGs, because the system has no font to write with.
    """
    files: dict[str, bytes] = {}
    missing = ""
    for name, (title, plots) in _FIGURES.items():
        drawn = [plotted for plotted in plots(context) if plotted is not None]
        if not drawn:
            continue
        text = svg(drawn, f"{context.title}: {title.lower()}", f"{context.dataset} {context.split}")
        files[f"{name}.svg"] = text.encode()
        try:
            files[f"{name}.png"] = png_of(text, _WIDTH)
        except SourceError as error:
            missing = str(error)
    return files | _moving(context), missing


def _moving(context: ReportContext) -> dict[str, bytes]:
    """The first scenes step by step, moving, and as they are at the end."""
    frames = refinement_frames(context.scenes[:_MOVING])
    if not frames:
        return {}
    still = io.BytesIO()
    Image.fromarray(frames[-1]).save(still, "PNG", optimize=True)
    return ({ANIMATED: gif(frames)} if len(frames) > 1 else {}) | {"scenes.png": still.getvalue()}


def _spread(context: ReportContext) -> Plot | None:
    metric = next(iter(context.metrics.values()), None)
    return spread_plot(metric) if metric else None
