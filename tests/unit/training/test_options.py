"""Averaged weights, GECO, validation and the KL schedule, each against its formula."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file
from torch import Tensor, nn
from unit.training.toy_model import STRENGTH, Batches, Mean, result, trainer

from iodine_kit.training.config import TrainConfig
from iodine_kit.training.loop import ValidationResult
from iodine_kit.training.run_files import METRICS, WEIGHTS
from iodine_kit.training.schedule import kl_weight
from iodine_kit.training.state import LARGEST_MULTIPLIER, BestWeights, Geco


class Seen:
    """Batches that keep the weights before every step."""

    def __init__(self, model: nn.Module) -> None:
        self.model, self.weights = model, list[Tensor]()

    def whole(self, step: int) -> Any:
        return Batches().whole(step)

    def prefetched(self, start: int, stop: int) -> Iterator[Any]:
        for step in range(start, stop):
            self.weights.append(self.model.weight.detach().double().clone())
            yield self.whole(step)


def rows(directory: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (directory / METRICS).open()]


def test_the_run_ends_with_the_averaged_weights(tmp_path: Path) -> None:
    model = Mean()
    seen = Seen(model)
    trainer(tmp_path, model, ema=0.5).run(seen)
    average, *later = [*seen.weights, model.weight.detach().double()]
    for step, weight in enumerate(later):
        decay = min(0.5, (1 + step) / (10 + step))
        average = decay * average + (1 - decay) * weight
    saved = load_file(tmp_path / WEIGHTS)
    torch.testing.assert_close(saved["weight"].double(), average, rtol=1e-6, atol=1e-8)
    assert not torch.equal(saved["weight"], model.weight)
    assert torch.equal(saved["frozen"], model.frozen)


def test_averaging_does_not_change_training(tmp_path: Path) -> None:
    for name, decay in (("plain", None), ("averaged", 0.9)):
        trainer(tmp_path / name, ema=decay).run(Batches())
    assert rows(tmp_path / "plain") == rows(tmp_path / "averaged")


def test_geco_weighs_the_likelihood_as_its_algorithm_says(tmp_path: Path) -> None:
    trainer(tmp_path, geco_target=0.05, geco_rate=2.0, geco_smoothing=0.8).run(Batches())
    multiplier, excess = 1.0, math.nan
    for row in rows(tmp_path):
        assert row["geco_multiplier"] == pytest.approx(multiplier, rel=1e-5)
        assert row["loss"] == pytest.approx(multiplier * row["nll"] + row["kl"], rel=1e-5)
        new = row["nll"] - 0.05
        excess = new if math.isnan(excess) else 0.8 * excess + 0.2 * new
        multiplier *= math.exp(2.0 * excess)
    assert multiplier != pytest.approx(1, rel=0.1)


def test_geco_reaches_the_constraint(tmp_path: Path) -> None:
    """Of images of 0.8 and 0.4, nll = 3 ((w − 0.6)² + 0.04) and kl = 3 · 0.3 w²: the least kl is on the bound."""

    class Still(Batches):
        def whole(self, step: int) -> Any:
            return Batches(values={step: 204}).whole(step)

    model, target = Mean(), 0.27
    trainer(
        tmp_path, model, steps=800, geco_target=target, geco_rate=0.05, geco_smoothing=0.9, learning_rate=0.01,
        schedule="constant", log_every=800,
    ).run(Still())  # fmt: skip
    weight = 0.6 - (target / 3 - 0.04) ** 0.5
    assert model.weight.tolist() == pytest.approx([weight] * 3, abs=2e-3)
    # Where the constraint holds, λ ∇nll + ∇kl = 0.
    assert rows(tmp_path)[-1]["geco_multiplier"] == pytest.approx(STRENGTH * weight / (0.6 - weight), rel=0.02)


def test_the_multiplier_is_bounded() -> None:
    geco = Geco(0.0, 1.0, 0.0, torch.device("cpu"))
    for value, bound in ((1e9, LARGEST_MULTIPLIER), (-1e9, 1 / LARGEST_MULTIPLIER)):
        geco.update(torch.tensor(value), torch.tensor(False))
        assert geco.log_multiplier.exp().item() == pytest.approx(bound, rel=1e-4)
    geco.update(torch.tensor(math.nan), torch.tensor(True))
    assert geco.log_multiplier.isfinite() and geco.excess.isfinite()


class RecordingValidator:
    """A validation that records its arguments, draws random numbers, changes its model, and returns given scores."""

    def __init__(self, *scores: float | None) -> None:
        self.scores, self.seen = iter(scores), list[tuple[int, list[float]]]()

    def __call__(self, model: nn.Module, step: int) -> ValidationResult:
        torch.rand(100)
        with torch.no_grad():
            self.seen.append((step, model.weight.tolist()))
            for parameter in model.parameters():
                parameter.zero_()
        score = next(self.scores, None)
        return ValidationResult({"val_loss": 100.0 - step, **({} if score is None else {"fg_ari": score})})


def test_validation_does_not_change_training(tmp_path: Path) -> None:
    trainer(tmp_path / "without").run(Batches())
    judge = RecordingValidator()
    trainer(tmp_path / "with", validate_every=5, validate=judge).run(Batches())
    found = rows(tmp_path / "with")
    assert {row["step"]: row.pop("val_loss") for row in found if "val_loss" in row} == {5: 95, 10: 90, 12: 88}
    assert found == rows(tmp_path / "without")
    assert (tmp_path / "with" / WEIGHTS).read_bytes() == (tmp_path / "without" / WEIGHTS).read_bytes()


def test_the_averaged_weights_are_validated(tmp_path: Path) -> None:
    judge = RecordingValidator()
    trainer(tmp_path, validate_every=12, validate=judge, ema=0.5).run(Batches())
    ((step, weight),) = judge.seen
    assert step == 12 and weight == load_file(tmp_path / WEIGHTS)["weight"].tolist()


@pytest.mark.parametrize(("select", "at"), [("last", 12), ("best", 6), ("best-elbo", 12)])
def test_the_selected_weights_are_saved(tmp_path: Path, select: str, at: int) -> None:
    judge = RecordingValidator(0.3, None, 0.7, 0.5, 0.7, math.nan)
    facts = trainer(tmp_path, validate_every=2, log_every=100, validate=judge, select=select).run(Batches())
    assert load_file(tmp_path / WEIGHTS)["weight"].tolist() == dict(judge.seen)[at]
    assert facts["weights"]["step"] == at


def test_the_first_of_equals_is_the_best(tmp_path: Path) -> None:
    judge = RecordingValidator(0.3, 0.1, 0.7, 0.5, 0.7, 0.2)
    facts = trainer(tmp_path, validate_every=2, validate=judge, select="best").run(Batches())
    assert facts["best"] == {"step": 6, "fg_ari": 0.7, "val_loss": 94}
    assert facts["weights"] == {"step": 6, "ema": None}
    assert load_file(tmp_path / WEIGHTS)["weight"].tolist() == dict(judge.seen)[6]


def test_undefined_scores_are_never_the_best() -> None:
    best = BestWeights("best")
    best.offer(1, {"val_loss": 3.0}, {"w": torch.ones(1)})
    best.offer(2, {"fg_ari": math.nan}, {"w": torch.ones(1)})
    assert (best.facts, best.weights) == ({}, {})


def test_without_true_masks_the_best_elbo_is_recorded(tmp_path: Path) -> None:
    facts = trainer(tmp_path, validate_every=5, validate=RecordingValidator()).run(Batches())
    assert facts["best"] == {"step": 12, "val_loss": 88} and facts["weights"]["step"] == 12


def test_the_elbo_does_not_decide_between_equal_fg_aris() -> None:
    best = BestWeights("last")
    for step, metrics in enumerate(
        [{"val_loss": 1.0}, {"fg_ari": 0.2, "val_loss": 9.0}, {"fg_ari": 0.2, "val_loss": 0.0}]
    ):
        best.offer(step, metrics, {})
    assert best.facts["step"] == 1


def test_the_best_weights_survive_a_crash(tmp_path: Path) -> None:
    def judge(model: nn.Module, step: int) -> ValidationResult:
        return ValidationResult({"fg_ari": 1 - abs(step - 5) / 10})

    def crash() -> None:
        raise RuntimeError

    options: dict[str, Any] = {"validate_every": 1, "validate": judge, "select": "best", "checkpoint_every": 8}
    trainer(tmp_path / "whole", **options).run(Batches())
    with pytest.raises(RuntimeError):
        trainer(tmp_path / "crashed", **options).run(Batches({9: crash}))
    facts = trainer(tmp_path / "crashed", **options).run(Batches())
    assert facts["best"] == {"step": 5, "fg_ari": 1.0}
    assert result(tmp_path / "whole") == result(tmp_path / "crashed")


def test_selecting_the_best_needs_validation() -> None:
    with pytest.raises(ValidationError, match="select is best, which needs validation: set validate_every"):
        TrainConfig(select="best")


@pytest.mark.parametrize("kind", ["linear", "geometric"])
def test_the_kl_weight_changes_from_one_value_to_another_between_two_steps(tmp_path: Path, kind: str) -> None:
    model = Mean()
    model.beta.fill_(16.0)
    used: list[float] = []
    model.register_forward_hook(lambda module, *_: used.append(float(module.beta)))
    trainer(tmp_path, model, kl_schedule=kind, kl_from=1.0, kl_begin=2, kl_end=6).run(Batches())
    middle = [1 + 15 * i / 4 for i in range(5)] if kind == "linear" else [2.0**i for i in range(5)]
    assert used == pytest.approx([1.0, 1.0, *middle, *[16.0] * 5])
    assert [row["kl_weight"] for row in rows(tmp_path)] == pytest.approx(used)


def test_a_constant_kl_weight_is_the_models_own(tmp_path: Path) -> None:
    model = Mean()
    model.beta.fill_(3.0)
    trainer(tmp_path, model, kl_from=5.0).run(Batches())
    assert float(model.beta) == 3 and "kl_weight" not in rows(tmp_path)[0]


def test_validation_uses_the_kl_weight_of_its_step(tmp_path: Path) -> None:
    model, seen = Mean(), list[float]()
    model.beta.fill_(9.0)

    def validate(mirror: nn.Module, step: int) -> ValidationResult:
        seen.append(float(mirror.beta))
        return ValidationResult({"val_loss": 0.0})

    schedule = {"kl_schedule": "linear", "kl_from": 1.0, "kl_begin": 0, "kl_end": 8}
    trainer(tmp_path, model, validate=validate, validate_every=4, **schedule).run(Batches())
    assert seen == [1 + 8 * 3 / 8, 1 + 8 * 7 / 8, 9]


def test_a_geometric_schedule_cannot_start_from_0_and_a_linear_one_can() -> None:
    with pytest.raises(ValidationError, match="cannot start from 0"):
        TrainConfig(kl_schedule="geometric", kl_from=0, kl_end=5)
    config = TrainConfig(kl_schedule="linear", kl_from=0, kl_end=4)
    assert [kl_weight(config, step, 2.0) for step in range(6)] == [0, 0.5, 1, 1.5, 2, 2]


@pytest.mark.parametrize(("begin", "end"), [(5, 5), (6, 5)])
def test_a_kl_schedule_that_ends_before_it_begins_is_refused(begin: int, end: int) -> None:
    with pytest.raises(ValidationError, match="kl_begin < kl_end"):
        TrainConfig(steps=12, kl_schedule="linear", kl_begin=begin, kl_end=end)
