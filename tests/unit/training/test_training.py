"""The loop on a model whose answers are known: a parameter pulled towards the images' mean."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from iodine_kit.errors import ArtifactCorruptError, DivergedError, TimeLimitReached
from iodine_kit.models import LossTerms, Part
from iodine_kit.progress import Silent
from iodine_kit.records import SceneBatch
from iodine_kit.tensors import step_generator
from iodine_kit.training.checkpoint import load_weights, save_weights
from iodine_kit.training.config import TrainConfig, TrainExecution
from iodine_kit.training.files import WEIGHTS
from iodine_kit.training.loop import Trainer
from iodine_kit.training.schedule import learning_rate


class Mean(nn.Module):
    """loss = Σ (w − x̄ + small noise)²."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(3))

    def loss(self, image: Tensor, generator: torch.Generator, part: Part | None = None) -> LossTerms:
        noise = 1e-3 * torch.randn(3, generator=generator)
        loss = ((self.weight - image.mean((0, 2, 3)) + noise) ** 2).sum()
        return LossTerms(loss, loss, loss * 0, loss.detach()[None], torch.zeros(1, 1))


class Batches:
    """Grey images; an image may be made to break the loss."""

    def __init__(self, at: dict[int, Any] | None = None) -> None:
        self.at = at or {}

    def prefetched(self, start: int, stop: int) -> Any:
        for step in range(start, stop):
            if callable(self.at.get(step)):
                self.at[step]()
            image = np.full((2, 1, 1, 3), 40 * (step % 5), np.uint8)
            yield SceneBatch((f"scene-{step}", "other"), image, image[..., 0])


EXECUTION = {"device": "cpu", "tensorboard": False}


def trainer(directory: Path, steps: int = 12, model: nn.Module | None = None, **execution: Any) -> Trainer:
    config = TrainConfig(steps=steps, batch_size=2, learning_rate=0.1, log_every=1)
    how = TrainExecution(**{**EXECUTION, **execution})
    return Trainer(model or Mean(), config, how, directory, Silent())


def result(directory: Path) -> tuple[bytes, bytes]:
    return (directory / WEIGHTS).read_bytes(), (directory / "metrics.jsonl").read_bytes()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_and_resumed_run_is_the_uninterrupted_one_bit_for_bit(tmp_path: Path, number: signal.Signals) -> None:
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    whole.mkdir(), stopped.mkdir()
    trainer(whole).run(Batches())
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt, match=r"stopped after step \d+; go on with --resume"):
            again = trainer(stopped)
            again.run(Batches({again.step + 3: lambda: signal.raise_signal(number)}))
    last = trainer(stopped)
    assert last.step == 8
    last.run(Batches())
    assert result(whole) == result(stopped)


def test_after_a_crash_the_run_goes_on_from_its_last_checkpoint(tmp_path: Path) -> None:
    whole, crashed = tmp_path / "whole", tmp_path / "crashed"
    whole.mkdir(), crashed.mkdir()
    trainer(whole).run(Batches())

    def crash() -> None:
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        trainer(crashed, checkpoint_every=4).run(Batches({10: crash}))
    resumed = trainer(crashed)
    assert resumed.step == 8
    resumed.run(Batches())
    assert result(whole) == result(crashed)


def test_the_time_limit_saves_and_stops(tmp_path: Path) -> None:
    with pytest.raises(TimeLimitReached, match="after step 1 of 12"):
        trainer(tmp_path, max_seconds=1e-9).run(Batches())
    assert trainer(tmp_path).step == 1


def test_a_loss_that_is_not_finite_stops_with_step_and_scenes(tmp_path: Path) -> None:
    model = Mean()

    def poison() -> None:
        with torch.no_grad():
            model.weight[0] = float("nan")

    with pytest.raises(DivergedError, match=r"diverged at step 6: loss nan, .*scene-5, other"):
        trainer(tmp_path, model=model).run(Batches({5: poison}))
    assert not (tmp_path / WEIGHTS).exists()


def test_the_log_has_a_row_per_step_and_no_clock(tmp_path: Path) -> None:
    trainer(tmp_path).run(Batches())
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(1, 13))
    assert set(rows[0]) == {"step", "loss", "nll", "kl", "grad_norm", "learning_rate"}


def test_tensorboard_events_are_written_beside(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    trainer(tmp_path, tensorboard=True).run(Batches())
    events = EventAccumulator(str(tmp_path / "logs")).Reload()
    assert [event.step for event in events.Scalars("loss")] == list(range(1, 13))


def test_weights_of_another_net_or_a_damaged_file_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_weights(path, nn.Linear(2, 2))
    with pytest.raises(ArtifactCorruptError, match="another net's weights"):
        load_weights(path, Mean())
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(ArtifactCorruptError, match="cannot be read as safetensors"):
        load_weights(path, Mean())


def test_gradients_are_clipped_by_their_global_norm(tmp_path: Path) -> None:
    """Adam is blind to scale, so its second moment tells the size of the gradient that it was given."""
    config = TrainConfig(steps=2, batch_size=2, clip_norm=1e-3)
    one = Trainer(Mean(), config, TrainExecution(**EXECUTION), tmp_path, Silent())
    one._update(next(Batches().prefetched(3, 4)))
    (state,) = one.optimizer.state.values()
    assert (state["exp_avg_sq"].sum() / (1 - config.beta2)).sqrt() == pytest.approx(1e-3, rel=1e-4)


def test_schedules() -> None:
    release = TrainConfig(learning_rate=1e-3, decay_rate=0.1, decay_steps=1000, steps=2000)
    assert learning_rate(release, 0) == 1e-3
    assert learning_rate(release, 500) == pytest.approx(1e-3 * 0.1**0.5)
    assert learning_rate(release, 1000) == pytest.approx(1e-4)
    cosine = TrainConfig(learning_rate=1.0, schedule="cosine", steps=110, warmup_steps=10, final_fraction=0.2)
    assert [learning_rate(cosine, step) for step in (0, 9, 10)] == pytest.approx([0.1, 1.0, 1.0])
    assert learning_rate(cosine, 60) == pytest.approx(0.6)
    assert learning_rate(cosine, 110) == pytest.approx(0.2)
    assert learning_rate(TrainConfig(schedule="constant", learning_rate=0.5), 10**6) == 0.5


def test_the_noise_of_a_step_depends_on_seed_and_step() -> None:
    def draw(seed: int, step: int) -> tuple[float, ...]:
        return tuple(torch.randn(3, generator=step_generator(seed, step)).tolist())

    assert draw(1, 2) == draw(1, 2)
    assert len({draw(seed, step) for seed in range(10) for step in range(10)}) == 100
