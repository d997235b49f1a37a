"""What tells series apart: a colour and, for those who cannot see colours, the shape of the marks.

Every colour has a contrast of 3 : 1 or more to the page, and any two stay apart in the three common kinds of colour
blindness; tests hold both, in light and in dark.
"""

from __future__ import annotations

from markupsafe import Markup

LIGHT = ("5b3a9e", "d57311", "259bbe", "972309", "1e1551")
DARK = ("bda3f5", "ef880e", "5952f9", "b53476", "f3fb9a")


def series_css(dark: bool = False) -> Markup:
    """The colours as plain rules of CSS, which pictures that stand alone need."""
    rules = [f".s{index} {{ stroke: #{code}; color: #{code}; }}" for index, code in enumerate(DARK if dark else LIGHT)]
    return Markup("\n".join(rules))


def mark_path(index: int, x: float, y: float, size: float = 3.4) -> str:
    """An SVG path around a point: circle, square, triangle, diamond, triangle downwards, in turn."""
    wide, tall = round(size * 1.25, 1), round(size * 1.4, 1)
    shapes = (
        f"M{x - size:.1f} {y:.1f}a{size} {size} 0 1 0 {2 * size:.1f} 0a{size} {size} 0 1 0 {-2 * size:.1f} 0z",
        f"M{x - size:.1f} {y - size:.1f}h{2 * size:.1f}v{2 * size:.1f}h{-2 * size:.1f}z",
        f"M{x:.1f} {y - tall:.1f}l{wide} {2 * tall - 1:.1f}h{-2 * wide:.1f}z",
        f"M{x:.1f} {y - tall:.1f}l{tall} {tall}l{-tall} {tall}l{-tall} {-tall}z",
        f"M{x:.1f} {y + tall:.1f}l{wide} {1 - 2 * tall:.1f}h{-2 * wide:.1f}z",
    )
    return shapes[index % len(shapes)]
