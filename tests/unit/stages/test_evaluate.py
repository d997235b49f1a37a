"""An evaluation's files and facts, against the metrics and scipy called directly."""

from __future__ import annotations

import csv
import json
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats
from unit.stages.foreseen import store_masks, store_predictions

from iodine_kit.artifacts import predictions_and_truth as pairs
from iodine_kit.artifacts.evaluations import read_objects, read_scenes, read_scores
from iodine_kit.errors import ArtifactCorruptError, ConfigError, CountError, SchemaError
from iodine_kit.evaluation.summary import terciles
from iodine_kit.metrics import Comparison, ari, miou
from iodine_kit.predictions.file import PredictionReader
from iodine_kit.records import PredictionBatch, SceneBatch
from iodine_kit.runner import Context, run_stage
from iodine_kit.stages import evaluate
from iodine_kit.store import Artifact, Store

SIDE, SCENES = 8, 40


def true_masks(scenes: int = SCENES, seed: int = 0) -> np.ndarray:
    """Scenes of 0 to 3 bars of different heights."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((scenes, SIDE, SIDE), np.uint8)
    for number, mask in enumerate(masks):
        for bar in range(number % 4):
            mask[: rng.integers(1, SIDE + 1), 2 * bar : 2 * bar + 2] = bar + 1
    return masks


def guesses(truth: np.ndarray, seed: int = 1) -> np.ndarray:
    """The truth with a share of its pixels given to any of four slots, of each scene another share."""
    rng = np.random.default_rng(seed)
    wrong = rng.random(truth.shape) < rng.random((len(truth), 1, 1)) * 0.6
    return np.where(wrong, rng.integers(0, 4, truth.shape), truth).astype(np.uint8)


def evaluated(
    root: Path, predictions: Artifact, dataset: Artifact, truth: Artifact | None = None, **values: object
) -> Artifact:
    inputs = {"predictions": predictions, "dataset": dataset, **({"truth": truth} if truth else {})}
    return run_stage(evaluate, {"eval": values}, inputs, Context(Store(root)))


@pytest.fixture
def stored(tmp_path: Path) -> tuple[Artifact, Artifact]:
    truth = true_masks()
    dataset = store_masks(tmp_path, truth)
    return store_predictions(tmp_path, dataset, guesses(truth), slots=4), dataset


def test_scores_intervals_and_counts_equal_those_of_metrics_and_scipy(
    tmp_path: Path, stored: tuple[Artifact, Artifact]
) -> None:
    evaluation = evaluated(tmp_path, *stored, metrics=["ari", "miou"], resamples=300, seed=7)
    truth = true_masks()
    keys = tuple(f"test-{i:03d}" for i in range(SCENES))
    images = np.zeros((*truth.shape, 3), np.uint8)
    comparison = Comparison(SceneBatch(keys, images, truth), PredictionBatch(keys, guesses(truth)), (0,))
    facts, table = evaluation.facts, read_scores(evaluation)
    assert list(table) == ["ari", "miou"]
    for name, metric in (("ari", ari), ("miou", miou)):
        values = metric.score(comparison).values
        np.testing.assert_array_equal(table[name], values)
        figures = facts["metrics"][name]
        assert figures["n"] == 30 and figures["undefined"] == 10  # a quarter of the scenes is empty
        assert figures["mean"] == pytest.approx(np.nanmean(values))
        assert figures["std"] == pytest.approx(np.nanstd(values, ddof=1))
        assert figures["median"] == pytest.approx(np.nanmedian(values))
        theirs = stats.bootstrap(
            (values,), np.nanmean, n_resamples=300, method="percentile", random_state=np.random.default_rng(7)
        )
        assert figures["interval"] == pytest.approx(list(theirs.confidence_interval))
    assert facts == json.loads((evaluation.path / "summary.json").read_text("utf-8"))
    assert "38" not in facts["resize"] and facts["resize"].startswith("none: ") and facts["resolution"] == [8, 8]
    assert facts["bootstrap"] == {"level": 0.95, "resamples": 300, "seed": 7, "method": facts["bootstrap"]["method"]}


def test_tables_per_scene_and_object_describe_the_masks(tmp_path: Path, stored: tuple[Artifact, Artifact]) -> None:
    evaluation = evaluated(tmp_path, *stored, metrics=["ari"])
    truth, guess = true_masks(), guesses(true_masks())
    scenes = read_scenes(evaluation)
    assert scenes["key"].tolist() == [f"test-{i:03d}" for i in range(SCENES)]
    assert scenes["objects"].tolist() == [len(np.unique(mask[mask > 0])) for mask in truth]
    assert scenes["foreground"].tolist() == [int((mask > 0).sum()) for mask in truth]
    objects = read_objects(evaluation)
    assert list(objects) == ["key", "entity", "pixels", "slot", "iou", "best_iou"]
    assert len(objects) == scenes["objects"].sum() == evaluation.facts["objects"]["n"]
    for row in objects.itertuples():
        number = int(row.key[-3:])
        mine, slot = truth[number] == row.entity, guess[number] == row.slot
        assert row.pixels == mine.sum() and row.iou == pytest.approx((mine & slot).sum() / (mine | slot).sum())
        assert row.best_iou >= row.iou


def test_groups_divide_the_scenes_by_number_and_size_of_their_objects(
    tmp_path: Path, stored: tuple[Artifact, Artifact]
) -> None:
    evaluation = evaluated(tmp_path, *stored, metrics=["ari", "count-accuracy"])
    facts, scenes = evaluation.facts, read_scenes(evaluation)
    by_number = facts["groups"]["objects"]
    assert [group["label"] for group in by_number] == ["0", "1", "2", "3"]
    for group in by_number:
        ari_of = scenes["ari"][scenes["objects"] == int(group["label"])]
        assert group["n"] == len(ari_of)
        figures = group["metrics"]["ari"]
        assert figures["n"] == ari_of.notna().sum()
        assert figures["mean"] == (pytest.approx(ari_of.mean()) if figures["n"] else None)
        assert (figures["interval"] is None) == (figures["n"] < 2)
    by_size = facts["groups"]["size"]
    assert sum(group["n"] for group in by_size) == (scenes["objects"] > 0).sum() and len(by_size) == 3
    objects = read_objects(evaluation)
    sizes = facts["objects"]["by_size"]
    low, high = np.quantile(objects["pixels"], [1 / 3, 2 / 3])
    middle = objects[(objects["pixels"] > low) & (objects["pixels"] <= high)]
    assert sizes[1]["n"] == len(middle) and sizes[1]["iou"]["mean"] == pytest.approx(middle["iou"].mean())
    assert sizes[1]["recovered"] == pytest.approx((middle["iou"] >= 0.5).mean())
    assert sizes[0]["label"].startswith("small, up to") and sizes[2]["label"].startswith("large, over")


def test_the_worst_and_the_best_scenes_are_by_the_first_metric_and_have_a_score(
    tmp_path: Path, stored: tuple[Artifact, Artifact]
) -> None:
    evaluation = evaluated(tmp_path, *stored, metrics=["miou", "ari"])
    scores = read_scenes(evaluation).set_index("key")["miou"].dropna().sort_values(kind="stable")
    assert evaluation.facts["worst"] == scores.index[:10].tolist()
    best = scores[evaluation.facts["best"]]
    assert best.is_monotonic_decreasing and best.min() == scores.iloc[-10]


def test_the_result_does_not_depend_on_the_size_of_batches(
    tmp_path: Path, stored: tuple[Artifact, Artifact], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = evaluated(tmp_path, *stored)
    monkeypatch.setattr(pairs, "BATCH", 7)
    files = {path: (whole.path / path).read_bytes() for path in whole.manifest.files}
    inputs = dict(zip(("predictions", "dataset"), stored, strict=True))
    again = run_stage(evaluate, {}, inputs, Context(Store(tmp_path), overwrite=True))
    assert {path: (again.path / path).read_bytes() for path in again.manifest.files} == files


def test_only_a_batch_of_what_is_needed_is_read_at_a_time(
    tmp_path: Path, stored: tuple[Artifact, Artifact], monkeypatch: pytest.MonkeyPatch
) -> None:
    """So memory does not grow with the number of scenes, nor with what else was stored."""
    truth = true_masks()
    rich = store_predictions(
        tmp_path, stored[1], truth, soft_mask=np.zeros((SCENES, 1, SIDE, SIDE), np.float16),
        component=np.zeros((SCENES, 1, SIDE, SIDE, 3), np.uint8), kl=np.zeros((SCENES, 1), np.float32),
    )  # fmt: skip
    monkeypatch.setattr(pairs, "BATCH", 16)
    read, seen = PredictionReader.batch, list[PredictionBatch]()

    def spy(*arguments: Any) -> PredictionBatch:
        seen.append(read(*arguments))
        return seen[-1]

    monkeypatch.setattr(PredictionReader, "batch", spy)
    evaluated(tmp_path, rich, stored[1], metrics=["ari", "kl"])
    assert [len(batch.keys) for batch in seen] == [16, 16, 8]
    assert all(batch.kl is not None and batch.soft_mask is None and batch.component is None for batch in seen)


@given(hnp.arrays(np.int64, st.integers(1, 30), elements=st.integers(1, 9)), st.randoms())
def test_terciles_divide_what_is_counted_by_size(sizes: np.ndarray, random: Random) -> None:
    counted = np.array([random.random() < 0.8 for _ in sizes])
    groups = terciles(sizes, counted)
    if groups:
        assert (sum(group.members.astype(int) for group in groups) == counted).all() and 2 <= len(groups) <= 3
        spans = [sizes[group.members] for group in groups]
        assert all(one.max() < other.min() for one, other in pairwise(spans))
    else:
        assert len(np.unique(sizes[counted])) <= 1 or (sizes[counted] <= np.quantile(sizes[counted], 1 / 3)).all()


def test_all_stands_for_every_metric_whose_needs_were_stored(tmp_path: Path) -> None:
    truth = true_masks(4)
    dataset = store_masks(tmp_path, truth)
    bare = store_predictions(tmp_path, dataset, truth)
    of_masks = list(evaluated(tmp_path, bare, dataset).facts["metrics"])
    assert of_masks[0] == "ari" and {"ari-all", "miou", "recovery"} <= set(of_masks) and "mse" not in of_masks
    rich = store_predictions(tmp_path, dataset, truth, reconstruction=np.zeros((4, SIDE, SIDE, 3), np.float32))
    more = list(evaluated(tmp_path, rich, dataset).facts["metrics"])
    assert more[: len(of_masks)] == of_masks and "mse" in more and "elbo" not in more
    with pytest.raises(SchemaError, match=r"metric 'kl' needs 'kl', .* rerun inference with 'elbo' in infer.store"):
        evaluate.plan(
            {"eval": {"metrics": ["kl"]}}, {"predictions": rich, "dataset": dataset}, Context(Store.of(dataset))
        )


def test_only_metrics_of_masks_are_scored_after_every_decode(tmp_path: Path) -> None:
    truth = true_masks(12)
    dataset = store_masks(tmp_path, truth)
    steps = np.stack([np.zeros_like(truth), guesses(truth), truth], 1)
    predictions = store_predictions(tmp_path, dataset, truth, step_mask=steps, elbo=np.zeros((12, 3), np.float32))
    facts = evaluated(tmp_path, predictions, dataset, metrics=["ari", "elbo"]).facts["metrics"]
    first, middle, last = facts["ari"]["by_step"]
    assert first < middle < last == facts["ari"]["mean"] == 1 and facts["elbo"]["by_step"] == []


@pytest.mark.parametrize(
    ("convention", "mean", "n", "degenerate"),
    [("exclude", 1.0, 2, 2), ("ones", 1.0, 4, 4), ("emorl", 0.5, 4, 4), ("deepmind", 1.0, 2, 4)],
)
def test_a_convention_decides_on_degenerate_scenes_and_is_stated(
    convention: str, mean: float | None, n: int, degenerate: int, tmp_path: Path
) -> None:
    truth = np.zeros((4, SIDE, SIDE), np.uint8)
    truth[:2, :3, :3] = 1
    dataset = store_masks(tmp_path, truth)
    predictions = store_predictions(tmp_path, dataset, truth)
    facts = evaluated(tmp_path, predictions, dataset, metrics=["ari"], convention=convention).facts
    figures = facts["metrics"]["ari"]
    assert (figures["mean"], figures["n"], figures["undefined"]) == (mean, n, 4 - n)
    assert figures["degenerate"] in (degenerate, 4) and facts["convention"] == convention
    assert "{" not in figures["convention"]


def test_one_scene_one_slot_and_nothing_but_background_can_be_evaluated(tmp_path: Path) -> None:
    dataset = store_masks(tmp_path, np.zeros((1, SIDE, SIDE), np.uint8), entities=2)  # other splits have objects
    predictions = store_predictions(tmp_path, dataset, np.zeros((1, SIDE, SIDE), np.uint8), slots=1)
    facts = evaluated(tmp_path, predictions, dataset).facts
    assert facts["metrics"]["ari"]["mean"] is None and facts["metrics"]["ari"]["undefined"] == 1
    assert facts["objects"] == {"n": 0, "by_size": []} and facts["groups"] == {"objects": [], "size": []}
    assert facts["worst"] == facts["best"] == [] and facts["metrics"]["ari-all"]["mean"] == 1


def test_summaries_in_csv_markdown_and_latex_hold_the_same_figures(
    tmp_path: Path, stored: tuple[Artifact, Artifact]
) -> None:
    evaluation = evaluated(tmp_path, *stored, metrics=["ari", "ari-all"])
    facts = evaluation.facts["metrics"]
    rows = list(csv.DictReader((evaluation.path / "summary.csv").open(encoding="utf-8", newline="")))
    whole = {row["metric"]: row for row in rows if row["group"] == "all"}
    assert float(whole["ari"]["mean"]) == facts["ari"]["mean"]
    assert float(whole["ari"]["interval high"]) == facts["ari"]["interval"][1]
    assert {row["group"] for row in rows} == {"all", "objects", "size"}
    markdown, latex = ((evaluation.path / f"summary.{kind}").read_text("utf-8") for kind in ("md", "tex"))
    assert f"| {facts['ari']['mean']:.4f} |" in markdown and f"& {facts['ari']['mean']:.4f} &" in latex
    assert facts["ari"]["convention"].split(",")[0] in markdown and latex.count(r"\toprule") == 4


def test_parquet_holds_what_csv_holds(tmp_path: Path, stored: tuple[Artifact, Artifact]) -> None:
    pytest.importorskip("pyarrow")
    plain, packed = evaluated(tmp_path, *stored), evaluated(tmp_path, *stored, table="parquet")
    assert not (packed.path / "scenes.csv").exists()
    for read in (read_scenes, read_objects):
        assert read(plain).equals(read(packed).astype(read(plain).dtypes.to_dict()))
    text, binary = plain.path / "scenes.csv", packed.path / "scenes.parquet"
    wrong_number = text.read_bytes().replace(b"\ntest-000,", b"\ntest-000,3.")
    for evaluation, damaged, wrong in [
        (plain, text, wrong_number), (plain, text, b""), (plain, text, b"\xff\xfe\n\x00,"),
        (packed, binary, binary.read_bytes()[:40]), (packed, binary, b""),
    ]:  # fmt: skip
        damaged.write_bytes(wrong)
        with pytest.raises(ArtifactCorruptError, match=r"scenes\.(csv|parquet): is damaged"):
            read_scenes(evaluation)


def test_no_intervals_where_none_are_wanted(tmp_path: Path, stored: tuple[Artifact, Artifact]) -> None:
    facts = evaluated(tmp_path, *stored, resamples=0).facts
    assert facts["metrics"]["ari"]["interval"] is None and facts["objects"]["by_size"][0]["iou"]["interval"] is None


@pytest.mark.parametrize(
    ("keys", "error", "told"),
    [
        ([0, 1, 1, 3], SchemaError, "scene 'test-001' occurs more than once"),
        ([0, 1, 2, 99], SchemaError, "of other scenes: 'test-099' is not in split 'test' of "),
        ([0, 1, 3, 4], SchemaError, "scene 'test-002' of split 'test' of "),
        ([0, 2, 1, 3], SchemaError, "in another order than in split 'test'"),
        ([], CountError, "it holds no scene: there is nothing to evaluate"),
    ],
)
def test_scenes_that_do_not_fit_are_refused_in_one_sentence(
    keys: list[int], error: type[Exception], told: str, tmp_path: Path
) -> None:
    truth = true_masks(6)
    dataset = store_masks(tmp_path, truth)
    predictions = store_predictions(tmp_path, dataset, truth[: len(keys)], keys=[f"test-{i:03d}" for i in keys])
    with pytest.raises(error) as caught:
        evaluated(tmp_path, predictions, dataset)
    assert told in str(caught.value) and "predictions.h5" in str(caught.value)
    assert not list(tmp_path.glob("evaluation/*"))


def test_the_first_scenes_of_a_split_may_be_evaluated_alone(tmp_path: Path) -> None:
    truth = true_masks(6)
    dataset = store_masks(tmp_path, truth)
    assert evaluated(tmp_path, store_predictions(tmp_path, dataset, truth[:3]), dataset).facts["scenes"] == 3


def test_slots_that_there_are_not_and_masks_of_another_size_are_refused(tmp_path: Path) -> None:
    truth = true_masks(6)
    dataset = store_masks(tmp_path, truth)
    with pytest.raises(SchemaError, match="scene 'test-003' names slot 3, and there are 3 slots, numbered from 0"):
        evaluated(tmp_path, store_predictions(tmp_path, dataset, truth, slots=3), dataset)
    with pytest.raises(SchemaError, match="different sizes, 4×8 and 8×8 pixels"):
        evaluated(tmp_path, store_predictions(tmp_path, dataset, truth[:, ::2]), dataset)


@pytest.mark.parametrize("value", [0, -3, 5000, 2.5, "big", True])
def test_a_resolution_is_model_or_a_number_of_pixels(value: object) -> None:
    with pytest.raises(ConfigError, match=r'eval.resolution: write "model" or a number of pixels from 1 to 4096'):
        evaluate.configure({"eval": {"resolution": value}})
