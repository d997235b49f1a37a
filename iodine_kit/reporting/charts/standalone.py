"""Plots as files that need no page: one SVG with white ground and its own colours and fonts, and the same as PNG.

The PNG renderer (resvg) silently draws no text if it does not know the font. Therefore a font that works is searched
first; without one there is no PNG, rather than one without text.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import cache

from iodine_kit.errors import SourceError
from iodine_kit.reporting.charts.axes import WIDTH
from iodine_kit.reporting.charts.plot import Plot
from iodine_kit.reporting.charts.series import series_css
from iodine_kit.reporting.templating import fill

_MARGIN, _HEAD, _TITLE, _GAP = 28, 50, 40, 26
_LETTER, _HEADING = 5.8, 10.2
"""Widths of a letter of the subtitle and of the title, in units of the drawing."""

FAMILIES = (
    "DejaVu Sans", "Noto Sans", "Liberation Sans", "Arial", "Helvetica", "Segoe UI", "Roboto", "Open Sans", "Cantarell",
    "Ubuntu", "FreeSans", "Nimbus Sans", "Verdana", "Helvetica Neue", "SF Pro",
)  # fmt: skip
"""Fonts that PNGs are written with, in order of preference."""
_PROBE = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="20"><text x="2" y="15" font-size="14" '
    'font-family="{}">MM</text></svg>'
)


def svg(plots: Sequence[Plot], title: str, subtitle: str = "") -> str:
    """Panels below a title and a subtitle, two per row, or three if there are more than four. Same plots, same text.

    Every plot keeps its own height. Without plots, only title and subtitle are drawn.
    """
    columns = min(len(plots), 3 if len(plots) > 4 else 2) or 1
    boxes = [plot.frame.fields() for plot in plots]
    panels, top = [], _MARGIN + _HEAD
    for first in range(0, len(plots), columns):
        row = range(first, min(first + columns, len(plots)))
        panels += [
            {"x": _MARGIN + (i - first) * (WIDTH + _GAP), "y": top + _TITLE, "plot": plots[i], "box": boxes[i]}
            for i in row
        ]
        top += _TITLE + max(boxes[i]["height"] for i in row) + _GAP
    # A title that is longer than a single panel must not be cut off.
    words = max(_HEADING * len(title), _LETTER * len(subtitle))
    drawing = fill(
        "standalone.svg",
        width=2 * _MARGIN + round(max(columns * (WIDTH + _GAP) - _GAP, words)),
        height=top + _MARGIN - (_GAP if plots else 0),
        margin=_MARGIN,
        title=title,
        subtitle=subtitle,
        panels=panels,
        series_css=series_css(),
    )
    return "\n".join(line for line in drawing.splitlines() if line.strip()) + "\n"


def svg_to_png(drawing: str, width: int) -> bytes:
    """An SVG file as PNG, ``width`` pixels wide.

    Raises:
        SourceError: if the system has none of :data:`FAMILIES`, so that all text would be missing.
    """
    import resvg_py

    family = usable_font()
    if family is None:
        raise SourceError(
            "PNG figures: the system has no usable font; install one, for example the package fonts-dejavu"
        )
    return bytes(resvg_py.svg_to_bytes(svg_string=drawing, width=width, font_family=family, sans_serif_family=family))


@cache
def usable_font() -> str | None:
    """The first of :data:`FAMILIES` whose text appears in a PNG, or ``None``."""
    return next((family for family in FAMILIES if _draws_text(family)), None)


def _draws_text(family: str) -> bool:
    import resvg_py
    from PIL import Image

    drawn = bytes(resvg_py.svg_to_bytes(svg_string=_PROBE.format(family)))
    with Image.open(io.BytesIO(drawn)) as picture:
        return picture.convert("RGBA").getbbox() is not None
