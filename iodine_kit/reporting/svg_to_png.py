"""SVG as PNG, for where only pictures of pixels are taken: slides, papers, pages of repositories.

The renderer (resvg) draws no text at all where it knows no font, and says nothing of it; so a font is looked for first,
and without one there is no PNG rather than one without words.
"""

from __future__ import annotations

import io
from functools import cache

from iodine_kit.errors import SourceError

FAMILIES = (
    "DejaVu Sans", "Noto Sans", "Liberation Sans", "Arial", "Helvetica", "Segoe UI", "Roboto", "Open Sans", "Cantarell",
    "Ubuntu", "FreeSans", "Nimbus Sans", "Verdana", "Helvetica Neue", "SF Pro",
)  # fmt: skip
_PROBE = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="20"><text x="2" y="15" font-size="14" '
    'font-family="{}">MM</text></svg>'
)


def png_of(svg: str, width: int) -> bytes:
    """The picture of an SVG file, ``width`` pixels wide, as PNG.

    Raises:
        SourceError: if the system has none of :data:`FAMILIES`, so that all text would be missing.
    """
    import resvg_py

    family = font()
    if family is None:
        raise SourceError(
            "PNG figures: the system has no font to write with; install one, for example the package fonts-dejavu"
        )
    return bytes(resvg_py.svg_to_bytes(svg_string=svg, width=width, font_family=family, sans_serif_family=family))


@cache
def font() -> str | None:
    """The first of the families that text really appears in, or ``None``."""
    return next((family for family in FAMILIES if _writes(family)), None)


def _writes(family: str) -> bool:
    import resvg_py
    from PIL import Image

    drawn = bytes(resvg_py.svg_to_bytes(svg_string=_PROBE.format(family)))
    with Image.open(io.BytesIO(drawn)) as picture:
        return picture.convert("RGBA").getbbox() is not None
