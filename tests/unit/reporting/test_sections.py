"""Sections that only some reports have."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from unit.reporting.page_parser import PageParser

from iodine_kit.evaluation.facts import ComparisonFacts, ObjectFacts, SceneGroups
from iodine_kit.evaluation.probing.facts import ProbeFacts
from iodine_kit.reporting import figures
from iodine_kit.reporting.context import ReportContext, SceneView, Traversal
from iodine_kit.reporting.markdown import render_markdown
from iodine_kit.reporting.report_page import render_page
from iodine_kit.reporting.sections._cards import build_card
from iodine_kit.reporting.sections.comparison import comparison_plots, short_names
from iodine_kit.reporting.sections.scenes import views_in_line

GROUPS = SceneGroups.model_validate({
    "objects": [
        {"label": str(n), "n": 8, "metrics": {"ari": {"mean": 0.5, "interval": (0.4, 0.6), "n": 8}}} for n in (2, 3)
    ],
    "size": [],
})  # fmt: skip
OBJECTS = ObjectFacts.model_validate({
    "n": 48,
    "by_size": [{"label": "small", "n": 48, "iou": {"mean": 0.7, "interval": (0.6, 0.8)}, "recovered": 0.875}],
})  # fmt: skip
MODEL = {"mean": 0.9, "sd": 0.01, "interval": (0.88, 0.92), "n": 16, "by_seed": [0.89, 0.91]}
PAIR = {
    "difference": -0.1, "interval": (-0.15, -0.05), "p": 0.002, "better": 3, "worse": 12, "equal": 1, "n": 16,
}  # fmt: skip
BOOTSTRAP = {"level": 0.95, "resamples": 2000, "seed": 0, "method": "bootstrap"}
COMPARISON = ComparisonFacts.model_validate({
    "dataset": "tetrominoes", "split": "test", "scenes": 16, "resolution": (14, 14), "convention": "exclude",
    "bootstrap": BOOTSTRAP, "test": {"method": "a test of signs", "flips": 10_000, "seed": 0},
    "metrics": {
        "ari": {"title": "FG-ARI", "unit": "", "better": "higher", "convention": "…", "resolution": (14, 14)},
    },
    "models": [
        {"name": "ours", "evaluations": ["a", "b"], "seeds": [0, 1], "resize": "none", "metrics": {"ari": MODEL}},
        {"name": "<theirs>", "evaluations": ["c"], "seeds": [0], "resize": "none",
         "metrics": {"ari": {**MODEL, "sd": None}}},
    ],
    "pairs": [{"a": "ours", "b": "<theirs>", "metrics": {"ari": PAIR}}],
    "left_out": {},
})  # fmt: skip
PROBE = ProbeFacts.model_validate({
    "dataset": "tetrominoes", "split": "test", "scenes": 16, "objects": 48, "unmatched": 0, "latents": 2,
    "matching": "mask", "folds": 5, "seed": 0, "bootstrap": BOOTSTRAP,
    "factors": {
        "x": {"kind": "number", "score": "r2", "n": 48, "baseline": -0.01,
              "linear": {"score": 0.8, "interval": (0.7, 0.9)}, "mlp": {"score": 0.9, "interval": None}},
    },
    "dci": {"model": "a forest", "disentanglement": 0.4, "completeness": 0.3, "informativeness": {"x": 0.9},
            "importance": [[0.75], [0.25]], "factors": ["x"]},
    "slots": {"active_mean": 3.5, "active_counts": {"3": 8, "4": 8}, "telling_mean": 3.0, "telling_counts": {"3": 16},
              "kl_per_slot": [20.0, 1.0], "owned_share": [0.7, 0.3]},
    "left_out": {}, "conventions": {"objects": "Only visible objects count."},
})  # fmt: skip


def traversal() -> Traversal:
    pictures = np.random.default_rng(0).integers(0, 256, (2, 3, 14, 14, 3)).astype(np.uint8)
    offset = np.array([-2, 0, 2], np.float32)
    return Traversal("test-000000", 1, pictures[0, 0], np.array([5, 2]), offset, pictures, pictures)


@pytest.fixture(scope="module")
def full(context: ReportContext) -> ReportContext:
    others = [("<theirs>", scene.true_mask, 0.25) for scene in context.scenes]
    scenes = [
        replace(scene, objects=2 + place % 2, others=[other])
        for place, (scene, other) in enumerate(zip(context.scenes, others, strict=True))
    ]
    return replace(
        context, scenes=scenes, groups=GROUPS, objects=OBJECTS, worst=[scenes[3].key], best=["elsewhere"],
        comparison=COMPARISON,
        probe=PROBE, traversals=[traversal()], elbo=np.linspace(0, 1, len(context.metrics["ari"].scores)),
        rules=[("Resizing", "none")],
    )  # fmt: skip


def test_a_full_page_has_every_section_and_shows_its_content(full: ReportContext) -> None:
    page = PageParser(render_page(full))
    assert page.errors == [] and len(page.ids()) == len(set(page.ids()))
    sections = [section["id"] for section in page.of("section")]
    assert sections == [
        "summary", "comparison", "scenes", "breakdown", "refinement", "distribution", "traversals", "representation",
        "training", "lineage",
    ]  # fmt: skip
    words = " ".join(page.text)
    for expected in ("−0.1000", "[−0.1500, −0.0500]", "0.9000 ± 0.0100", "ours (2 seeds)", "<theirs>",
                 "0.5000 [0.4000, 0.6000]", "0.8000 [0.7000, 0.9000]", "dimension 5", "Only visible objects count.",
                 "Spearman’s ρ", "0.7000", "0.8750"):  # fmt: skip
        assert expected in words, expected
    links = [link["href"] or "" for link in page.of("a")]
    assert [link for link in links if link.startswith("#scene-")] == ["#scene-3"]


def test_a_page_of_several_evaluations_says_which_one_it_shows(full: ReportContext) -> None:
    page = PageParser(render_page(replace(full, evaluations=["a=1", "a=2"], seeds=COMPARISON.models[0])))
    words = " ".join(" ".join(page.text).split())
    for sentence in ("compares 2 evaluations: a=1; a=2.", "Everything else is of a=1.", "Breakdown a=1", "Training a=1",
                     "0.9000 ± 0.0100 mean ± sd of 2 seeds, ours"):  # fmt: skip
        assert sentence in words, sentence
    alone = " ".join(PageParser(render_page(full)).text)
    assert "This page compares" not in alone and "Everything else" not in alone
    text = render_markdown(replace(full, evaluations=["a=1", "a=2"], seeds=COMPARISON.models[0]))
    assert "2 evaluations are compared: a=1; a=2." in text and "2 seeds, ours: 0.9000 ± 0.0100." in text


@pytest.mark.parametrize(("pictures", "in_line"), [(1, 1), (5, 5), (6, 3), (7, 4), (8, 4), (11, 4), (15, 5)])
def test_lines_of_pictures_are_full_and_never_crowded(pictures: int, in_line: int) -> None:
    assert views_in_line(pictures) == in_line


def test_scenes_can_be_filtered_if_their_numbers_of_objects_differ(full: ReportContext, context: ReportContext) -> None:
    options = [option["value"] for option in PageParser(render_page(full)).of("option")]
    assert {"2", "3", "ari", "mse"} <= set(options)
    assert "objects" not in PageParser(render_page(context)).ids()


def test_figures_are_valid_files(full: ReportContext) -> None:
    files, missing = figures.figure_files(full)
    names = {"distribution", "breakdown", "refinement", "training", "comparison"}
    assert {name.removesuffix(".svg") for name in files if name.endswith(".svg")} == names
    if not missing:
        for name in names:
            assert Image.open(io.BytesIO(files[f"{name}.png"])).size[0] == 1400
    assert figures.figure_files(full) == (files, missing)


def test_the_animation_has_a_frame_for_every_step(context: ReportContext) -> None:
    frames = figures.refinement_frames(context.scenes[:6])
    assert len(frames) == context.steps + 1
    picture = Image.open(io.BytesIO(figures.gif(frames)))
    assert picture.n_frames == context.steps + 1 and picture.info["loop"] == 0  # type: ignore[attr-defined]
    assert picture.size == frames[0].shape[1::-1]
    same = [bool((frames[0][16:36] == frame[16:36]).all()) for frame in frames]
    assert not all(same)  # masks move
    assert figures.refinement_frames([]) == []


def without_masks(scene: SceneView) -> SceneView:
    """A scene whose objects nobody knows, with the predictions that it has."""
    return replace(scene, true_mask=None, objects=None, others=[("theirs", scene.step_mask[0], 0.25)])


def test_a_page_without_true_masks_shows_none_and_compares_no_slot_with_them(full: ReportContext) -> None:
    scenes = [without_masks(scene) for scene in full.scenes]
    page = PageParser(render_page(replace(full, scenes=scenes)))
    assert page.errors == [] and "objects" not in page.ids()
    names = [str(one["aria-label"]) for one in page.of("div") if " of scene " in str(one.get("aria-label"))]
    assert not [name for name in names if "True mask" in name or "object" in name or "no match" in name]
    assert len([name for name in names if name.startswith("Predicted mask of scene")]) == len(scenes)
    words = " ".join(" ".join(page.text).split())
    assert "The data set has no true masks: the colours of slots distinguish them" in words


def test_predicted_masks_are_first_where_there_are_no_true_ones(context: ReportContext) -> None:
    card = build_card(without_masks(context.scenes[0]), 4, 1.0)
    masks = [picture for picture in card.views if picture.strip == "masks"]
    steps = context.steps + 1
    assert [(one.frame, one.caption, one.steps) for one in masks] == [(0, "predicted", steps), (steps, "theirs", 0)]
    assert card.strips["masks"][1] == steps + 1
    assert len({slot.colour for slot in card.slots}) == len(card.slots)


def test_figures_without_true_masks_have_a_column_less(context: ReportContext) -> None:
    scenes = context.scenes[:3]
    frames = figures.refinement_frames([without_masks(scene) for scene in scenes])
    assert len(frames) == context.steps + 1
    three, two = figures.refinement_frames(scenes)[0].shape[1], frames[0].shape[1]
    assert 3 * (two - 4) == 2 * (three - 4)  # the gap at the right edge is 4 pixels wide


def test_undefined_values_of_a_probe_are_dashes(context: ReportContext) -> None:
    dci = PROBE.dci.model_copy(update={"disentanglement": None, "completeness": None})
    probe = PROBE.model_copy(update={"dci": dci})
    assert "Disentanglement –, completeness –." in render_page(replace(context, probe=probe))


@pytest.mark.parametrize(
    ("names", "short"),
    [
        (["ours", "theirs"], ["ours", "theirs"]),
        (["net (steps 6)", "net (steps 1, restarts 5)"], ["steps 6", "steps 1, restarts 5"]),
        (["net (steps 6)", "other (steps 6)"], ["net (steps 6)", "other (steps 6)"]),
        (["net", "net (steps 1)"], ["net", "net (steps 1)"]),
        (["a" * 50 + "x", "a" * 50 + "y"], ["1: " + "a" * 26, "2: " + "a" * 26]),
    ],
)
def test_names_in_charts_are_short_and_different(names: list[str], short: list[str]) -> None:
    assert short_names(names) == short


def test_charts_of_models_with_long_names_keep_space_for_their_axis() -> None:
    models = [
        model.model_copy(update={"name": f"net ({'a setting and its value ' * 4}{i})"})
        for i, model in enumerate(COMPARISON.models)
    ]
    plots = comparison_plots(COMPARISON.model_copy(update={"models": models}))
    assert len(plots) == 2
    for plotted in plots:
        box = plotted.frame.fields()
        assert box["right"] - box["left"] > 150
