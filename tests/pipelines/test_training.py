"""Training as a stage: what is planned, what is refused, what lies there afterwards."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import adjusted_rand_score
from support import TINY, Command
from unit.stages.artifact_builders import store_scenes
from unit.training.toy_model import Notes

from iodine_kit.artifacts.dataset import open_split
from iodine_kit.artifacts.trained_model import load_model
from iodine_kit.config import parse_overrides
from iodine_kit.errors import ConfigError, CountError, DivergedError, IodineKitError, SchemaError
from iodine_kit.records import DatasetInfo, Scene
from iodine_kit.runner import Context, run_stage
from iodine_kit.stages import train
from iodine_kit.stages.train.validation import NOISE, Validation
from iodine_kit.store import Artifact, Store
from iodine_kit.tensors import images_to, step_generator
from iodine_kit.training.config import TrainConfig
from iodine_kit.training.run_files import WEIGHTS, read_metrics


def scenes(count: int, size: int = 6) -> list[Scene]:
    """Two squares each, of random colours, before black."""
    draw, made = np.random.default_rng(count), []
    for number in range(count):
        mask = np.zeros((size, size), np.uint8)
        mask[:2, :2], mask[3:, 2:5] = 1, 2
        colour = draw.integers(50, 256, (3, 3), dtype=np.uint8)
        colour[0] = 0
        made.append(Scene(f"scene-{number}", colour[mask], mask))
    return made


@pytest.fixture
def dataset(tmp_path: Path) -> Artifact:
    splits = {"train": scenes(12), "val": scenes(7)}
    return store_scenes(tmp_path / "data", splits, DatasetInfo("blocks", 0, 0, 3))


def made(dataset: Artifact, *settings: str, notes: Notes | None = None, **how: Any) -> Artifact:
    """The run of these settings, on a tiny net, in 4 steps."""
    reporter = notes or Notes()
    defaults = [*TINY[1::2], "train.steps=4", "train.device='cpu'", "train.log_every=1", "train.tensorboard=false"]
    tables: Mapping[str, Any] = parse_overrides([*defaults, *settings], train.TABLES)
    return run_stage(train, tables, {"dataset": dataset}, Context(Store(dataset.path.parents[1]), reporter, **how))


def test_a_run_leaves_weights_log_and_curves(dataset: Artifact) -> None:
    run = made(dataset)
    assert {path.name for path in run.path.iterdir()} == {WEIGHTS, "metrics.jsonl", "curves.svg", "manifest.json"}
    rows = read_metrics(run.path / "metrics.jsonl")
    assert [row["step"] for row in rows] == [1, 2, 3, 4]
    for row in rows:
        assert row["loss"] == pytest.approx(row["nll_steps"][-1] + sum(row["kl_slots"]), rel=1e-5)  # weights 0 and 1
        assert len(row["nll_steps"]) == 2
    assert (run.facts["skipped_steps"], run.facts["validation_scenes"], run.facts["best"]) == (0, 0, {})


def test_what_cannot_change_the_result_is_no_part_of_the_key(dataset: Artifact) -> None:
    run = made(dataset)
    notes = Notes()
    settings = ["train.accumulate=2", "train.keep=5", "train.recompute=true", "train.compile=off"]
    assert made(dataset, *settings, notes=notes).path == run.path
    assert notes.texts == [f"up to date: {run.path}"]


@pytest.mark.parametrize("setting", ["ema=0.9", "geco_target=-3", "skip_nonfinite=1", "validate_every=2"])
def test_what_can_is(dataset: Artifact, setting: str) -> None:
    reporter, key = Notes(), set()
    for settings in ([], [f"train.{setting}"]):
        job = train.plan(
            parse_overrides([*TINY[1::2], *settings], train.TABLES),
            {"dataset": dataset},
            Context(Store.of(dataset), reporter),
        )
        key.add(job.identity.key)
    assert len(key) == 2


def test_accumulated_parts_give_the_same_run(dataset: Artifact) -> None:
    whole = read_metrics(made(dataset).path / "metrics.jsonl")
    parts = read_metrics(made(dataset, "train.accumulate=4", overwrite=True).path / "metrics.jsonl")
    for one, other in zip(whole, parts, strict=True):
        for name in ("loss", "nll", "kl", "grad_norm"):
            assert one[name] == pytest.approx(other[name], rel=1e-3), name


def test_validation_scores_the_same_scenes_with_the_same_noise_every_time(dataset: Artifact) -> None:
    """Against scikit-learn, on masks inferred here."""
    run = made(dataset, "train.validate_every=2", "train.validate_scenes=5")
    assert run.facts["validation_scenes"] == 5
    last = read_metrics(run.path / "metrics.jsonl")[-1]
    model, reader = load_model(run).eval().requires_grad_(False), open_split(dataset, "val")
    scores, losses = [], []
    for number, indices in enumerate(([0, 1, 2, 3], [4])):  # batches of four
        batch = reader.batch(indices)
        found = model.infer(images_to(torch.device("cpu"), batch.image), step_generator(0, NOISE + number))
        losses += (found.nll_BS + found.kl_BS)[:, -1].tolist()
        for true, predicted in zip(batch.mask, found.step_mask_BSHW[:, -1].numpy(), strict=True):
            scores.append(adjusted_rand_score(true[true > 0], predicted[true > 0]))
    assert last["fg_ari"] == pytest.approx(np.mean(scores), abs=1e-6)
    assert last["val_loss"] == pytest.approx(np.mean(losses), rel=1e-6)
    validation = Validation(TrainConfig(batch_size=4, validate_scenes=5), dataset)
    assert validation(model, 1).metrics == validation(model, 99).metrics
    picture = validation(model, 1).picture
    assert picture is not None and picture().dtype == np.uint8


def test_a_split_with_fewer_scenes_is_validated_whole(dataset: Artifact) -> None:
    assert made(dataset, "train.validate_every=4").facts["validation_scenes"] == 7


def test_validation_changes_no_weights(dataset: Artifact) -> None:
    plain = (made(dataset).path / WEIGHTS).read_bytes()
    assert (made(dataset, "train.validate_every=1").path / WEIGHTS).read_bytes() == plain


def test_the_best_weights_are_those_of_a_run_that_ended_there(dataset: Artifact) -> None:
    run = made(dataset, "train.validate_every=1", "train.select=best-elbo", "train.learning_rate=0.3")
    rows = read_metrics(run.path / "metrics.jsonl")
    step = min(rows, key=lambda row: row["val_loss"])["step"]
    assert run.facts["weights"]["step"] == run.facts["best"]["step"] == step
    shorter = made(dataset, f"train.steps={step}", "train.learning_rate=0.3")
    assert (run.path / WEIGHTS).read_bytes() == (shorter.path / WEIGHTS).read_bytes()


def test_a_batch_larger_than_the_split_holds_scenes_more_than_once(dataset: Artifact) -> None:
    notes = Notes()
    made(dataset, "train.batch_size=20", notes=notes)
    assert "note: batches of 20 from 12 scenes hold scenes more than once" in notes.texts


@pytest.mark.parametrize(
    ("setting", "error", "told"),
    [
        ("model.slots=0", ConfigError, "model.slots: input should be greater than or equal to 1"),
        ("model.steps=-1", ConfigError, "model.steps: input should be greater than or equal to 0"),
        ("model.latent=0", ConfigError, "model.latent: input should be greater than"),
        ("model.decoder.kernel=2", ConfigError, "the side of the kernel must be odd"),
        ("model.refinement.stride=9", ConfigError, "model.refinement.stride: input should be less than or equal to 4"),
        ("train.batch_size=0", ConfigError, "train.batch_size: input should be greater than or equal to 1"),
        ("train.accumulate=3", ConfigError, "train.accumulate: 4 images do not divide into 3 equal parts"),
        ("train.select=best", ConfigError, "select is best, which needs validation: set validate_every"),
        ("train.precision=half", ConfigError, "train.precision: input should be 'float32', 'tf32' or 'bfloat16'"),
        ("train.ema=1.0", ConfigError, "train.ema: input should be less than 1"),
        ("train.split=other", CountError, "has no split 'other'"),
        ("train.device=tpu9", ConfigError, "device 'tpu9' cannot be used"),
    ],
)
def test_bad_values_are_told_before_anything_is_made(
    dataset: Artifact, setting: str, error: type[IodineKitError], told: str
) -> None:
    with pytest.raises(error) as caught:
        made(dataset, setting)
    assert told in str(caught.value) and "\n" not in str(caught.value)
    assert not list(dataset.path.parents[1].glob("run/*"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there(dataset: Artifact) -> None:
    with pytest.raises(
        ConfigError, match=r"^device 'cuda' cannot be used \(.*\): set train\.device or infer\.device=auto"
    ):
        made(dataset, "train.device=cuda")


def test_a_validation_split_that_is_not_there(dataset: Artifact) -> None:
    with pytest.raises(CountError, match="no split 'test'"):
        made(dataset, "train.validate_every=1", "train.validate_split=test")


def test_images_of_another_size_than_the_data_set_says(dataset: Artifact) -> None:
    other = store_scenes(dataset.path.parents[2] / "other", {"train": scenes(12, 5)}, DatasetInfo("blocks", 0, 0, 3))
    shutil.copy(other.path / "train.h5", dataset.path / "train.h5")
    with pytest.raises(SchemaError, match=r"images of 'train' are \(5, 5, 3\) and not \(6, 6, 3\): prepare"):
        made(dataset)


def test_a_run_that_diverged_can_be_looked_into_and_gone_on_with(dataset: Artifact, tmp_path: Path) -> None:
    with pytest.raises(DivergedError) as caught:
        made(dataset, "train.learning_rate=1e30", "train.log_every=4")
    (path,) = tmp_path.glob("data/run/.*.partial/nonfinite-*.npz")
    assert f"saved in {path}" in str(caught.value)
    with np.load(path, allow_pickle=False) as saved:
        step, keys = int(saved["step"]), saved["key"].tolist()
        assert saved["image"].shape == (4, 6, 6, 3) and not math.isfinite(float(saved["grad_norm"]))
        assert set(keys) <= {f"scene-{number}" for number in range(12)}
    notes = Notes()
    with pytest.raises(DivergedError, match=f"diverged at step {step}:"):  # on a CPU it happens again, at once
        made(dataset, "train.learning_rate=1e30", "train.log_every=4", notes=notes)
    assert f"resuming after step {step - 1}" in notes.texts


@pytest.mark.slow
def test_divergence_on_the_command_line(iodine_kit: Command) -> None:
    iodine_kit("prepare", "tetrominoes", "--generate", 20, "--set", "dataset.cell=2")
    done = iodine_kit("train", *TINY, "--set", "train.steps=9", "--set", "train.learning_rate=1e30", status=13)
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: training diverged at step") and "nonfinite-" in last
    assert "Traceback" not in done.stderr
