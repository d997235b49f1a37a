"""The training loop: log, progress, interruption and resumption, clipping, microbatches, memory errors."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from unit.training.toy_model import Batches, Mean, result, trainer

from iodine_kit.errors import ConfigError, MemoryLimitError, TimeLimitReached
from iodine_kit.models import LossTerms
from iodine_kit.progress import Show, Silent
from iodine_kit.tensors import step_generator
from iodine_kit.training.config import TrainConfig
from iodine_kit.training.loop import ValidationResult
from iodine_kit.training.resources import enough_memory
from iodine_kit.training.run_files import WEIGHTS, TrainingLog
from iodine_kit.training.schedule import learning_rate


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_resumed_run_equals_the_uninterrupted_one_to_the_bit(tmp_path: Path, number: signal.Signals) -> None:
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    trainer(whole, log_every=3).run(Batches())
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt, match=r"stopped after step \d+; run the same command again to resume"):
            again = trainer(stopped, log_every=3)
            again.run(Batches({again.step + 3: lambda: signal.raise_signal(number)}))
    last = trainer(stopped, log_every=3)
    assert last.step == 8
    last.run(Batches())
    assert result(whole) == result(stopped)


def test_the_time_limit_saves_and_stops(tmp_path: Path) -> None:
    with pytest.raises(TimeLimitReached, match="after step 1 of 12"):
        trainer(tmp_path, max_seconds=1e-9, log_every=5).run(Batches())
    assert trainer(tmp_path).step == 1


def test_the_log_has_a_row_per_step_and_no_clock(tmp_path: Path) -> None:
    trainer(tmp_path).run(Batches())
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(1, 13))
    assert list(rows[0]) == ["step", "loss", "nll", "kl", "nll_steps", "kl_slots", "grad_norm", "learning_rate"]
    for row in rows:
        assert row["nll_steps"] == [row["nll"]] * 2
        assert row["kl_slots"] == pytest.approx([row["kl"] / 2] * 2, rel=1e-6)
        assert row["loss"] == pytest.approx(row["nll"] + row["kl"], rel=1e-6)


def test_every_nth_step_and_the_last_one_are_logged(tmp_path: Path) -> None:
    trainer(tmp_path, log_every=5).run(Batches())
    assert [json.loads(line)["step"] for line in (tmp_path / "metrics.jsonl").open()] == [5, 10, 12]


def test_progress_shows_the_row_and_the_speed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = watched(monkeypatch)
    trainer(tmp_path, log_every=4).run(Batches())
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").open()]
    speed = {"images_per_second", "memory_bytes", "seconds_left"}
    assert [step for step, _ in shown] == [4, 8, 12]
    assert [{name: row[name] for name in row if name not in speed} for _, row in shown] == rows
    assert all(row["memory_bytes"] > 1e6 and row["images_per_second"] > 0 for _, row in shown)
    assert shown[-1][1]["seconds_left"] == 0


def test_rows_before_an_interruption_are_shown_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KeyboardInterrupt):
        trainer(tmp_path).run(Batches({4: lambda: signal.raise_signal(signal.SIGINT)}))
    shown = watched(monkeypatch)
    trainer(tmp_path).run(Batches())
    assert [step for step, _ in shown] == list(range(1, 13))


def watched(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, dict[str, Any]]]:
    """A list that collects all later steps and rows of the progress display."""
    shown: list[tuple[int, dict[str, Any]]] = []

    @contextmanager
    def watch(self: Silent, total: int, done: int = 0) -> Iterator[Show]:
        yield lambda step, row: shown.append((step, dict(row)))

    monkeypatch.setattr(Silent, "watch", watch)
    return shown


def test_tensorboard_events_have_every_step(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    trainer(tmp_path, tensorboard=True).run(Batches())
    events = EventAccumulator(str(tmp_path / "logs")).Reload()
    for name in ("loss", "nll_steps/0", "nll_steps/1", "kl_slots/1", "images_per_second"):
        assert [event.step for event in events.Scalars(name)] == list(range(1, 13))


def test_gradients_are_clipped_by_their_global_norm(tmp_path: Path) -> None:
    """Adam does not depend on the scale, so its second moment is compared, which is the gradient squared."""
    one = trainer(tmp_path, steps=1, clip_norm=1e-3)
    one.run(Batches(values={0: 120}))
    moments = torch.cat([s["exp_avg_sq"].flatten() for s in one.state.optimizer.state.values()])
    assert (moments.sum() / (1 - one.config.beta2)).sqrt() == pytest.approx(1e-3, rel=1e-4)
    logged = json.loads((tmp_path / "metrics.jsonl").read_text())["grad_norm"]
    assert logged == pytest.approx(2 * (0.75 * 120 / 255) * 3**0.5, rel=1e-2)  # before clipping


def test_microbatches_give_the_same_run_as_the_whole_batch(tmp_path: Path) -> None:
    whole, parts = trainer(tmp_path / "whole"), trainer(tmp_path / "parts", accumulate=2)
    whole.run(Batches())
    parts.run(Batches())
    torch.testing.assert_close(parts.state.model.weight, whole.state.model.weight, rtol=1e-6, atol=0)
    rows = [[json.loads(x) for x in (tmp_path / n / "metrics.jsonl").open()] for n in ("whole", "parts")]
    for one, other in zip(*rows, strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-5)
        assert one["grad_norm"] == pytest.approx(other["grad_norm"], rel=1e-5)


def test_a_batch_that_does_not_divide_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^train.accumulate: 2 images do not divide into 3 equal parts$"):
        trainer(tmp_path, accumulate=3)


def test_the_error_of_full_memory_names_the_settings_to_lower(tmp_path: Path) -> None:
    class Huge(Mean):
        def forward(self, image: torch.Tensor, noise: torch.Tensor, total: int) -> LossTerms:
            torch.empty(1 << 58)  # more than any address space
            raise AssertionError

    with pytest.raises(MemoryLimitError) as caught:
        trainer(tmp_path, Huge(), estimate=lambda: "the estimate was 5 GB").run(Batches())
    assert str(caught.value) == (
        "out of memory while training on batches of 2 images (the estimate was 5 GB): "
        "lower train.batch_size, or set train.accumulate=2 (or more) or train.recompute=true"
    )
    assert not (tmp_path / WEIGHTS).exists()


def test_the_log_is_closed_if_the_model_cannot_be_copied_for_validation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Uncopyable(Mean):
        def __deepcopy__(self, memo: object) -> Mean:
            raise torch.OutOfMemoryError("CUDA out of memory")

    closed, close = [], TrainingLog.close

    def record(log: TrainingLog) -> None:
        closed.append(log)
        close(log)

    monkeypatch.setattr(TrainingLog, "close", record)
    with pytest.raises(MemoryLimitError, match=r"^out of memory while copying the model for validation"):
        trainer(tmp_path, Uncopyable(), validate=lambda model, step: ValidationResult({})).run(Batches())
    assert len(closed) == 1


def test_an_estimate_that_fails_does_not_hide_the_error_of_full_memory() -> None:
    def fail() -> str:
        raise ValueError("device mismatch")

    with (
        pytest.raises(MemoryLimitError, match=r"^out of memory while working: lower train.batch_size"),
        enough_memory("working", estimate=fail),
    ):
        raise MemoryError


@pytest.mark.parametrize(
    "text",
    [
        "CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
    ],
)
def test_cudas_errors_of_full_memory_are_recognised(text: str) -> None:
    with pytest.raises(MemoryLimitError, match=r"^out of memory while working: "), enough_memory("working"):
        raise RuntimeError(text)


def test_too_little_memory_for_the_model_itself_is_an_error_of_full_memory(tmp_path: Path) -> None:
    class Large(Mean):
        def to(self, *_: Any, **__: Any) -> Any:
            raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(MemoryLimitError) as caught:
        trainer(tmp_path, Large(), estimate=lambda: "the estimate was 5 GB")
    assert str(caught.value) == (
        "out of memory while putting the model on cpu (the estimate was 5 GB): "
        "free memory there, or choose another train.device or a smaller model"
    )


def test_other_errors_are_not_errors_of_full_memory(tmp_path: Path) -> None:
    def fail() -> None:
        raise RuntimeError("size mismatch")

    with pytest.raises(RuntimeError, match="size mismatch"):
        trainer(tmp_path).run(Batches({3: fail}))


def test_the_facts_have_parameters_and_the_speed_if_a_step_was_made(tmp_path: Path) -> None:
    """Only learned parameters count. A run that resumes after its last step has no speed."""
    with pytest.raises(RuntimeError, match="full disk"), crash_before_weights():
        trainer(tmp_path, checkpoint_every=12).run(Batches())
    facts = trainer(tmp_path).run(Batches())
    assert facts["steps"] == 12 and "seconds_per_step" not in facts
    assert facts["parameters"] == 3 + 2  # without the frozen one
    assert trainer(tmp_path / "new").run(Batches())["seconds_per_step"] >= 0


@contextmanager
def crash_before_weights() -> Iterator[None]:
    """A crash between the last checkpoint and the weights."""

    def full(*_: Any) -> None:
        raise RuntimeError("full disk")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("iodine_kit.training.loop.save_weights", full)
        yield


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
