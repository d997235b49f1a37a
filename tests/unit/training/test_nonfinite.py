"""Losses and gradients that are not finite never change the weights, and their batch is saved."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from unit.training.toy_model import NO_GRADIENT, NO_LOSS, Batches, Mean, Notes, result, trainer

from iodine_kit.errors import DivergedError
from iodine_kit.training.run_files import WEIGHTS, checkpoint_name


@pytest.mark.parametrize("log_every", [1, 4, 12])
@pytest.mark.parametrize(
    ("value", "message"),
    [(NO_LOSS, r"loss nan, gradient norm [\d.]+"), (NO_GRADIENT, r"loss [\d.]+, gradient norm inf")],
)
def test_the_error_names_the_step_and_the_batch_is_saved(
    tmp_path: Path, value: int, message: str, log_every: int
) -> None:
    batches = Batches(values={5: value, 7: NO_LOSS})
    with pytest.raises(
        DivergedError, match=rf"diverged at step 6: {message}, .*scene-5, other, saved in .*; try a smaller"
    ):
        trainer(tmp_path, log_every=log_every).run(batches)
    assert not (tmp_path / WEIGHTS).exists()
    (path,) = tmp_path.glob("nonfinite-*")
    with np.load(path, allow_pickle=False) as saved:
        np.testing.assert_array_equal(saved["image"], batches.whole(5).image)
        assert saved["key"].tolist() == ["scene-5", "other"]
        assert (saved["step"], saved["seed"]) == (6, 0)
        assert np.isnan(saved["loss"]) == (value == NO_LOSS)
        assert np.isinf(saved["grad_norm"]) == (value == NO_GRADIENT)


def test_the_state_before_the_step_is_saved_however_late_metrics_are_fetched(tmp_path: Path) -> None:
    good, bad = tmp_path / "good", tmp_path / "bad"
    trainer(good, log_every=12).run(Batches())
    with pytest.raises(DivergedError):
        trainer(bad, log_every=12, ema=0.5, geco_target=0.0).run(Batches(values={5: NO_LOSS}))
    again = trainer(bad, log_every=12, ema=0.5, geco_target=0.0)
    assert again.step == 5
    again.run(Batches())  # this time the step is finite, as can happen on a GPU
    whole = tmp_path / "whole"
    trainer(whole, log_every=12, ema=0.5, geco_target=0.0).run(Batches())
    assert result(whole).items() <= result(bad).items()


def test_no_step_is_lost_and_the_previous_checkpoint_is_kept(tmp_path: Path) -> None:
    with pytest.raises(DivergedError, match="; the state after step 7 is saved, and the same command resumes from"):
        trainer(tmp_path / "bad", checkpoint_every=5, log_every=12).run(Batches(values={7: NO_LOSS}))
    assert sorted(path.name for path in (tmp_path / "bad").glob("checkpoint-*")) == [
        checkpoint_name(step) for step in (5, 7)
    ]
    again = trainer(tmp_path / "bad", log_every=12)
    assert again.step == 7
    again.run(Batches())
    trainer(tmp_path / "good", log_every=12).run(Batches())
    assert result(tmp_path / "good").items() <= result(tmp_path / "bad").items()


def test_weights_that_are_not_finite_do_not_replace_a_checkpoint(tmp_path: Path) -> None:
    """No run could continue from them."""
    model = Mean()

    def poison() -> None:
        with torch.no_grad():
            model.weight[0] = float("inf")

    with pytest.raises(
        DivergedError,
        match="; its weights are not finite, the newest checkpoint is checkpoint-000000004",
    ):
        trainer(tmp_path, model, checkpoint_every=2, keep=1).run(Batches({5: poison}))
    assert trainer(tmp_path).step == 4


def test_weights_that_are_not_finite_stop_the_run(tmp_path: Path) -> None:
    model = Mean()

    def poison() -> None:
        with torch.no_grad():
            model.weight[0] = float("nan")

    with pytest.raises(DivergedError, match="diverged at step 6: loss nan"):
        trainer(tmp_path, model).run(Batches({5: poison}))


@pytest.mark.parametrize("log_every", [1, 5])
def test_as_many_steps_are_skipped_as_allowed(tmp_path: Path, log_every: int) -> None:
    """Adam gets the other gradients only, as if the skipped step did not exist."""
    notes, one = Notes(), trainer(tmp_path / "one", notes=None, steps=6, schedule="constant")
    one.run(Batches(values={0: 40, 1: 80, 2: 120, 3: 160, 4: 40, 5: 40}))
    values = {0: 40, 1: NO_LOSS, 2: 80, 3: 120, 4: NO_GRADIENT, 5: 160, 6: 40, 7: 40}
    skipping = trainer(
        tmp_path / "two", notes=notes, steps=8, schedule="constant", skip_nonfinite=2, log_every=log_every
    )
    facts = skipping.run(Batches(values=values))
    assert facts["skipped_steps"] == 2
    torch.testing.assert_close(skipping.state.model.weight, one.state.model.weight, rtol=0.02, atol=0)  # other noise
    assert [int(state["step"]) for state in skipping.state.optimizer.state.values()] == [6]
    assert [note.split(":")[0:2] for note in notes.texts] == [
        ["note", " step 2 skipped"],
        ["note", " step 5 skipped"],
    ]
    rows = [json.loads(line) for line in (tmp_path / "two" / "metrics.jsonl").open()]
    assert {row["step"]: row["skipped"] for row in rows}[5] == 2
    assert rows[-1]["skipped"] == 2
    assert "NaN" not in (tmp_path / "two" / "metrics.jsonl").read_text()


def test_one_more_step_than_allowed_ends_the_run(tmp_path: Path) -> None:
    with pytest.raises(DivergedError, match="diverged at step 9"):
        trainer(tmp_path, skip_nonfinite=2).run(Batches(values={1: NO_LOSS, 4: NO_LOSS, 8: NO_LOSS, 9: NO_LOSS}))
    assert sorted(path.name for path in tmp_path.glob("nonfinite-*")) == [
        f"nonfinite-00000000{step}.npz" for step in (2, 5, 9)
    ]


def test_a_resumed_run_continues_the_count(tmp_path: Path) -> None:
    def crash() -> None:
        raise RuntimeError

    values = {1: NO_LOSS, 9: NO_LOSS}
    with pytest.raises(RuntimeError):
        trainer(tmp_path, skip_nonfinite=1, checkpoint_every=4).run(Batches({6: crash}, values))
    with pytest.raises(DivergedError, match="diverged at step 10"):
        trainer(tmp_path, skip_nonfinite=1, checkpoint_every=4).run(Batches(values=values))
