"""The figures of a report as files, for papers, slides and repositories: charts, and scenes still and animated."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from itertools import chain

import numpy as np
from PIL import Image, ImageDraw

from iodine_kit.errors import SourceError
from iodine_kit.records import Bytes
from iodine_kit.reporting import colours
from iodine_kit.reporting.charts import Plot
from iodine_kit.reporting.charts.standalone import svg, svg_to_png
from iodine_kit.reporting.context import ReportContext, SceneView
from iodine_kit.reporting.curves import training_plots
from iodine_kit.reporting.image_grid import enlargement, mask_picture, tile, with_legend
from iodine_kit.reporting.sections.breakdown import breakdown_plots
from iodine_kit.reporting.sections.comparison import comparison_plots
from iodine_kit.reporting.sections.distribution import elbo_plot, spread_plot
from iodine_kit.reporting.sections.refinement import refinement_plots

ANIMATION, STILL = "refinement.gif", "scenes.png"
_PNG_WIDTH, _SCENES, _MOST_SINGLE = 1400, 6, 4
_FOOTER, _FRAME_MS, _LAST_FRAME_MS = 22, 500, 1800
_INK, _PAPER = (29, 26, 36), 255
_CAPTIONS = ("input", "true mask", "prediction")
Plots = Callable[[ReportContext], Sequence[Plot | None]]

_FIGURES: Mapping[str, tuple[str, Plots]] = {
    "distribution": ("Distribution", lambda c: [_spread(c), elbo_plot(c)[0]]),
    "breakdown": ("Breakdown", breakdown_plots),
    "refinement": ("Refinement", refinement_plots),
    "training": ("Training", lambda c: training_plots(c.training)),
    "comparison": ("Comparison", lambda c: comparison_plots(c.comparison) if c.comparison else []),
}


def figure_files(context: ReportContext) -> tuple[dict[str, bytes], str]:
    """Figures by file name: every chart with content as SVG and PNG, and the first scenes as PNG and animated GIF.

    Returns:
        The files, and a sentence if there are no PNGs of charts because the system has no usable font, else "".
    """
    files: dict[str, bytes] = {}
    warning = ""
    for name, (title, plots) in _FIGURES.items():
        drawable = [plot for plot in plots(context) if plot is not None]
        if not drawable:
            continue
        drawing = svg(drawable, f"{context.title}: {title.lower()}", f"{context.dataset} {context.split}")
        files[f"{name}.svg"] = drawing.encode()
        try:
            files[f"{name}.png"] = svg_to_png(drawing, _PNG_WIDTH)
        except SourceError as error:
            warning = str(error)
    return files | _scene_files(context.scenes[:_SCENES]), warning


def _spread(context: ReportContext) -> Plot | None:
    metric = next(iter(context.metrics.values()), None)
    return spread_plot(metric) if metric else None


def _scene_files(scenes: Sequence[SceneView]) -> dict[str, bytes]:
    """The last frame of the animation as PNG, and the animation if there is more than one frame."""
    frames = refinement_frames(scenes)
    if not frames:
        return {}
    still = io.BytesIO()
    Image.fromarray(frames[-1]).save(still, "PNG", optimize=True)
    return ({ANIMATION: gif(frames)} if len(frames) > 1 else {}) | {STILL: still.getvalue()}


def refinement_frames(scenes: Sequence[SceneView]) -> list[Bytes]:
    """A picture ``uint8[H', W', 3]`` for every decode: input, true mask if there is one, predicted mask of each scene.

    A row has one scene, or two if there are more than four; an incomplete last row is omitted. A slot keeps the colour
    of the entity that it matches at the last step. Small images are enlarged by a whole factor.
    """
    if not scenes:
        return []
    steps = max(len(scene.step_mask) for scene in scenes)
    drawn = [_coloured_masks(scene, steps) for scene in scenes]
    factor = enlargement(scenes[0].image.shape[:2])
    captions = [name for name in _CAPTIONS if name != "true mask" or drawn[0][0]]
    per_row = 2 if len(scenes) > _MOST_SINGLE else 1
    frames = []
    for step in range(steps):
        cells = [[scene.image, *true, masks[step]] for scene, (true, masks) in zip(scenes, drawn, strict=True)]
        lines = [list(chain(*cells[i : i + per_row])) for i in range(0, len(cells) - len(cells) % per_row, per_row)]
        grid = tile(lines, factor, captions * per_row)
        grid = with_legend(grid) if any(scene.ignores for scene in scenes) else grid
        frames.append(_with_footer(grid, f"refinement step {step} of {steps - 1}"))
    return frames


def gif(frames: Sequence[Bytes]) -> bytes:
    """The frames as a GIF that repeats and pauses at the last frame; same frames, same bytes."""
    images = [Image.fromarray(frame).quantize(256, dither=Image.Dither.NONE) for frame in frames]
    stream = io.BytesIO()
    durations = [_FRAME_MS] * (len(frames) - 1) + [_LAST_FRAME_MS]
    images[0].save(stream, "GIF", save_all=True, append_images=images[1:], duration=durations, loop=0, optimize=True)
    return stream.getvalue()


def _coloured_masks(scene: SceneView, steps: int) -> tuple[list[Bytes], list[Bytes]]:
    """The true mask, if any, and the mask of each step in colours; a scene with fewer steps repeats its last mask."""
    slots, outside = int(scene.step_mask.max()) + 1, scene.ignored
    _, palette = colours.coloured_slots(scene.true_mask, scene.step_mask[-1], slots, outside)
    masks = [palette[mask] for mask in scene.step_mask]
    true = [] if scene.true_mask is None else [mask_picture(scene.true_mask, (0,), outside)]
    return true, masks + masks[-1:] * (steps - len(masks))


def _with_footer(picture: Bytes, words: str) -> Bytes:
    """The picture with a line of text below."""
    height, width = picture.shape[:2]
    sheet = Image.new("RGB", (width, height + _FOOTER), (_PAPER,) * 3)
    sheet.paste(Image.fromarray(picture), (0, 0))
    ImageDraw.Draw(sheet).text((4, height + 3), words, fill=_INK, font_size=13)
    return np.asarray(sheet)
