"""Report: the time to write a page over 320 scenes with everything on it, its size, and the time to open it.

Scenes are drawn balls like CLEVR's at 128×128, predictions as in metrics.py, with a smooth soft mask and a shaded
component
for each of seven slots. The page is opened in a Chromium without a window, if one and playwright are installed.
Results go to reports/benchmarks/ as JSON; tables.py makes the page there of them.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path
from time import perf_counter

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from _measure import machine_facts, origin, parser, write_result
from metrics import BATCH, RESULTS, SIZE, SLOTS, STEPS, Pair, draw
from scipy.ndimage import gaussian_filter
from tables import show

from iodine_kit.metrics import ari
from iodine_kit.records import Array, Bytes
from iodine_kit.reporting.context import MetricSummary, ReportContext, SceneView
from iodine_kit.reporting.figures import figure_files
from iodine_kit.reporting.report_page import render_page
from iodine_kit.stages.report import ReportConfig

SCENES, OPENINGS = 320, 5


def main() -> None:
    """Measure, print and write down."""
    options = parser(__doc__, repetitions=3)
    options.add_argument(
        "--output", type=Path, default=RESULTS, help="folder of the JSON (default: reports/benchmarks)"
    )
    given = options.parse_args()
    count, repetitions = (8, 1) if given.quick else (SCENES, given.repetitions)
    come_by, machine = origin(), machine_facts("cpu", int(os.environ.get("OMP_NUM_THREADS", "1")))
    context = material(count)
    built = [_seconds(context) for _ in range(repetitions)]
    text = render_page(context)
    shape = {
        **come_by, "size": SIZE, "batch": BATCH, "slots": SLOTS, "steps": STEPS, "scenes": count,
        "shown": text.count("data-place="), "page": [one[0] for one in built], "figures": [one[1] for one in built],
        "bytes": len(text.encode()), "opened": opened(text),
    }  # fmt: skip
    result = {"program": "report", "machine": machine, "shapes": {str(SIZE): shape}}
    show(result)
    if not given.quick:
        print(write_result(given.output, result))


def material(count: int) -> ReportContext:
    """What a report of so many scenes shows."""
    pair = draw(count, seed=3)
    scores = ari.score(pair.compare()).values
    views = [_view(pair, place, float(scores[place])) for place in range(count)]
    mean = float(np.nanmean(scores))
    steps = np.linspace(0.2, mean, STEPS + 1).tolist()
    metric = MetricSummary(ari.TITLE, ari.CONVENTION, mean, float(np.nanstd(scores)), mean, count, 0, scores, "", steps)
    limit = round(ReportConfig().most_megabytes * 1e6)
    return ReportContext(
        title="Report", summary="", dataset="balls", split="test", resolution=(SIZE, SIZE), slots=SLOTS, steps=STEPS,
        metrics={"ari": metric}, scenes=views, training=[], elbo_by_step=[], lineage=[], command="", total=count,
        most_bytes=limit,
    )  # fmt: skip


def opened(text: str) -> list[float]:
    """Seconds until the page is there, each in a new tab; none without a browser."""
    chromium = next((found for name in ("chromium", "google-chrome") if (found := shutil.which(name))), None)
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        chromium = None
    if chromium is None:
        return []
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        path = Path(folder) / "index.html"
        path.write_text(text, "utf-8")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        seconds = []
        for _ in range(OPENINGS):
            page = browser.new_page()
            begun = perf_counter()
            page.goto(path.as_uri())
            page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
            seconds.append(perf_counter() - begun)
            page.close()
        browser.close()
    return seconds


def _seconds(context: ReportContext) -> tuple[float, float]:
    """Of the page, and of the figures beside it."""
    begun = perf_counter()
    render_page(context)
    page = perf_counter()
    figure_files(context)
    return page - begun, perf_counter() - page


def _view(pair: Pair, place: int, score: float) -> SceneView:
    image, mask = pair.truth.image[place], pair.prediction.mask[place]
    steps, guess = pair.prediction.step_mask, pair.prediction.reconstruction
    assert steps is not None and guess is not None
    soft = gaussian_filter(np.eye(SLOTS, dtype=np.float32)[mask], (2, 2, 0)).transpose(2, 0, 1)
    return SceneView(
        key=pair.truth.keys[place], scores={"ari": score}, image=image, true_mask=pair.truth.mask[place],
        step_mask=steps[place], soft_mask=soft, component=_components(image, soft), reconstruction=guess[place],
        objects=len(np.unique(pair.truth.mask[place])) - 1,
    )  # fmt: skip


def _components(image: Bytes, soft_KHW: Array) -> Bytes:
    """The image where a slot is, its mean colour shaded elsewhere."""
    weight = soft_KHW[..., None]
    mean = (image * weight).sum((1, 2), keepdims=True) / weight.sum((1, 2), keepdims=True).clip(1e-6)
    shade = np.linspace(0.7, 1.2, SIZE)[None, :, None, None]
    return (image * weight + mean * shade * (1 - weight)).clip(0, 255).astype(np.uint8)


if __name__ == "__main__":
    main()
