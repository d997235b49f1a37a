"""Others' predictions beside each other: told apart, reported together, and never mixed up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from unit.stages.foreseen import store_masks, store_predictions
from unit.stages.test_evaluate import guesses, true_masks

from iodine_kit.cli.imports import imported
from iodine_kit.errors import SchemaError
from iodine_kit.runner import Context, run_stage
from iodine_kit.stages import compare, evaluate, report
from iodine_kit.store import Artifact, Identity, Store
from iodine_kit.studies._scores import unpaired_difference

TRUTH = true_masks(8)
KEYS = np.array([f"test-{i:03d}" for i in range(8)])


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store_masks(tmp_path / "store", TRUTH)
    return Store(tmp_path / "store")


def file_of(folder: Path, masks: np.ndarray) -> Path:
    folder.mkdir()
    np.savez(folder / "masks.npz", key=KEYS, mask=masks)
    return folder / "masks.npz"


def scored(store: Store, predictions: Artifact, **settings: Any) -> Artifact:
    dataset = store.newest("dataset", "")
    tables = {"eval": {"resamples": 100, **settings}}
    return run_stage(evaluate, tables, {"predictions": predictions, "dataset": dataset}, Context(store))


def test_two_files_of_one_name_are_two_models_unless_the_user_names_them(tmp_path: Path, store: Store) -> None:
    files = [file_of(tmp_path / name, masks) for name, masks in (("a", TRUTH), ("b", guesses(TRUTH)))]
    for given, models in (({}, 2), ({"model": "theirs"}, 1)):
        both = [scored(store, imported(store, file, None, {"import": dict(given)})) for file in files]
        if models == 2:
            facts = run_stage(compare, {}, compare.numbered(both), Context(store)).facts
            assert len(facts["models"]) == 2 and len(facts["pairs"]) == 1
            assert len({model["name"] for model in facts["models"]}) == 2
        else:
            facts = run_stage(compare, {}, compare.numbered(both), Context(store)).facts
            assert [model["name"] for model in facts["models"]] == ["theirs"]


def test_results_state_that_imported_masks_were_resized(tmp_path: Path, store: Store) -> None:
    twice = TRUTH.repeat(2, 1).repeat(2, 2)
    made = imported(store, file_of(tmp_path / "a", twice), None, {"import": {"resize": "nearest"}})
    height, width = TRUTH.shape[1:]
    told = (
        f"predicted masks of {2 * height}×{2 * width} pixels were imported at {height}×{width} by nearest neighbour; "
    )
    assert scored(store, made).facts["resize"].startswith(told)


def chain(store: Store, first: Artifact, second: Artifact) -> dict[str, Artifact]:
    of = [store.resolve(one.manifest.identity.inputs["predictions"]) for one in (first, second)]
    return {
        "dataset": store.newest("dataset", ""), "predictions": of[0], "evaluation": first,
        "comparison": run_stage(compare, {}, compare.numbered([first, second]), Context(store)),
        "evaluation-2": second, "predictions-2": of[1],
    }  # fmt: skip


def test_runs_with_other_metrics_lie_side_by_side_in_a_report(tmp_path: Path, store: Store) -> None:
    files = [file_of(tmp_path / name, masks) for name, masks in (("a", TRUTH), ("b", guesses(TRUTH)))]
    predictions = [imported(store, file, None, {"import": {}}) for file in files]
    evaluations = [
        scored(store, one, metrics=list(m)) for one, m in zip(predictions, (("ari", "miou"), ("miou",)), strict=True)
    ]
    made = run_stage(report, {}, chain(store, *evaluations), Context(store))
    page, text = ((made.path / name).read_text("utf-8") for name in (report.PAGE, report.MARKDOWN))
    assert "<h1>masks</h1>" in page and text.startswith("# masks\n")
    assert "Comparison" in page and "minus" in text and "comparison" in " ".join(made.facts["figures"])


def test_a_probe_of_other_predictions_is_refused(tmp_path: Path, store: Store) -> None:
    files = [file_of(tmp_path / name, masks) for name, masks in (("a", TRUTH), ("b", guesses(TRUTH)))]
    first, second = (scored(store, imported(store, file, None, {"import": {}})) for file in files)
    theirs = store.resolve(second.manifest.identity.inputs["predictions"])
    identity = Identity(kind="probe", name="x", stage="probe", version=1, inputs={"predictions": theirs.reference})
    with store.draft(identity) as draft:
        (draft.path / "a").write_text("a")
        probe = draft.commit({}, {"finished": "2026-01-01T00:00:00+00:00"})
    with pytest.raises(SchemaError, match="made of other predictions"):
        report.plan({}, {**chain(store, first, second), "probe": probe}, Context(store))


def test_a_model_that_broke_on_some_scenes_is_not_scored_on_the_others(store: Store) -> None:
    pictures = np.zeros((*TRUTH.shape, 3), np.float32)
    pictures[5, 0, 0, 0] = np.nan
    predictions = store_predictions(store.root, store.newest("dataset", ""), TRUTH, slots=9, reconstruction=pictures)
    with pytest.raises(SchemaError, match=r"'reconstruction' of scene 'test-005' contains NaN"):
        scored(store, predictions, metrics=["mse"])
    assert scored(store, predictions, metrics=["ari"]).facts["scenes"] == 8


def test_a_difference_of_single_scenes_has_no_interval() -> None:
    one = unpaired_difference(np.array([0.5]), np.array([0.4]))
    assert one.mean == pytest.approx(0.1) and np.isnan([one.low, one.high]).all()
    assert np.isnan(unpaired_difference(np.array([np.nan]), np.array([0.4, 0.5])).mean)
