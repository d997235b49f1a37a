"""The commands eval and compare as a shell sees them: what is printed where, and with which status they end."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from typer.testing import CliRunner
from unit.stages.foreseen import store_masks, store_predictions
from unit.stages.test_evaluate import guesses, true_masks

from iodine_kit.cli.app import app
from iodine_kit.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Predictions of two models for one data set; those of "good" are the most recent."""
    truth = true_masks(12)
    dataset = store_masks(tmp_path, truth)
    grey = np.full((*truth.shape, 3), 0.5, np.float32)
    store_predictions(tmp_path, dataset, guesses(truth), model="poor", slots=4, reconstruction=grey)
    store_predictions(tmp_path, dataset, truth, model="good", slots=4, reconstruction=grey)
    return tmp_path


def command(store: Path, *arguments: object, status: int = 0) -> Result:
    done = CliRunner().invoke(app, [*map(str, arguments), "--store", str(store)])
    assert done.exit_code == status, done.output
    return done


def sentence(done: Result) -> str:
    """The one sentence of an error."""
    text = " ".join(done.stderr.split())
    assert text.count("error: ") <= 1 and "Traceback" not in text
    return text


def test_the_path_goes_to_standard_output_and_the_table_to_standard_error(store: Path) -> None:
    done = command(store, "eval", "--metric", "ari", "--metric", "mse")
    place = Path(done.stdout.strip())
    facts = json.loads((place / "summary.json").read_text("utf-8"))
    assert list(facts["metrics"]) == ["ari", "mse"]
    assert "FG-ARI ↑" in done.stderr and "1.0000" in done.stderr and "blocks test, 12 scenes at 8×8" in done.stderr
    assert "up to date" in command(store, "eval", "--metric", "ari", "--metric", "mse").stderr


def test_other_formats_are_printed_in_the_place_of_the_path(store: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(command(store, "eval", "--format", "csv", "--metric", "ari").stdout)))
    assert float(rows[0]["mean"]) == 1 and rows[0]["metric"] == "ari"
    result = json.loads(command(store, "eval", "--json", "--metric", "ari").stdout)
    assert result["metrics"]["ari"]["mean"] == 1 and Path(result["artifact"]).is_dir()
    assert "only one of --json" in sentence(command(store, "eval", "--json", "--format", "csv", status=2))
    assert command(store, "eval", "--format", "latex", "--metric", "ari").stdout.startswith("% FG-ARI: ")
    assert "| metric | mean |" in command(store, "eval", "--format", "markdown", "--metric", "ari").stdout


def test_conventions_and_the_resolution_are_settings(store: Path) -> None:
    chosen = ["--set", "eval.convention=deepmind", "--set", "eval.resolution=16", "--metric", "all", "--metric", "ari"]
    facts = json.loads((Path(command(store, "eval", *chosen).stdout.strip()) / "summary.json").read_text("utf-8"))
    assert facts["convention"] == "deepmind" and facts["resolution"] == [16, 16] and "mse" in facts["metrics"]
    assert "omitted" in facts["metrics"]["ari"]["convention"]
    wrong = sentence(command(store, "eval", "--set", "eval.resolution=large", status=3))
    assert 'eval.resolution: write "model" or a number of pixels' in wrong
    assert "deepmind" in command(store, "eval", "--set", "eval.convention=dm", status=3).stderr


@pytest.mark.parametrize(
    ("thresholds", "message"),
    [
        (["ari=0.9"], "error: {place}: ari is 0.{more}, required: at least 0.9"),
        (["mse=0.01"], "mse is 0.{more}, required: at most 0.01"),
        (["mse=9", "ari=0.99", "miou=0.999"], "at least 0.99; miou is 0."),
    ],
)
def test_a_gate_exits_with_its_own_status_after_everything_is_written(
    thresholds: list[str], message: str, store: Path
) -> None:
    poor = next(one for one in Store(store).artifacts("predictions") if one.facts["model"] == "poor")
    options = [part for text in thresholds for part in ("--fail-under", text)]
    done = command(store, "eval", "--predictions", poor.path, *options, status=17)
    place = Path(done.stdout.strip())
    assert (place / "summary.json").is_file() and "FG-ARI" in done.stderr
    before, _, after = message.partition("{more}")
    assert before.format(place=place) in sentence(done) and after in sentence(done)


def test_a_gate_that_is_passed_is_silent(store: Path) -> None:
    done = command(store, "eval", "--fail-under", "ari=1", "--fail-under", "mse=1")
    assert "error" not in done.stderr


def test_an_undefined_mean_passes_no_gate(tmp_path: Path) -> None:
    empty = np.zeros((3, 4, 4), np.uint8)
    store_predictions(tmp_path, store_masks(tmp_path, empty, entities=2), empty)  # other splits have objects
    done = command(tmp_path, "eval", "--fail-under", "ari=-1", status=17)
    assert "ari is undefined for every scene, required: at least -1" in sentence(done)


@pytest.mark.parametrize("text", ["ari", "ari=", "=0.5", "ari=high", "ari=nan"])
def test_a_malformed_gate_is_refused_before_any_work(text: str, store: Path) -> None:
    assert "is not METRIC=VALUE" in sentence(command(store, "eval", "--fail-under", text, status=2))
    assert not (store / "evaluation").exists()


def test_a_gate_on_a_metric_that_is_not_evaluated_is_refused_before_any_work(store: Path) -> None:
    message = sentence(command(store, "eval", "--metric", "ari-all", "--fail-under", "ari=0.5", status=3))
    assert "metric 'ari' is not evaluated; did you mean 'ari-all'?" in message and not (store / "evaluation").exists()


def test_models_are_compared_by_name(store: Path) -> None:
    good, poor = (command(store, "eval", "--predictions", one.path).stdout.strip()
                  for one in reversed(Store(store).artifacts("predictions")))  # fmt: skip
    done = command(store, "compare", poor, good, "--name", "A & B", "--name", "C_1")
    assert "C_1 minus A & B, on the same scenes" in done.stderr and "A & B" in done.stderr
    place = Path(done.stdout.strip())
    assert place.parent.name == "comparison" and (place / "summary.tex").is_file()
    result = json.loads(command(store, "compare", poor, good, "--json", "--metric", "ari").stdout)
    assert list(result["metrics"]) == ["ari"]
    assert [model["name"] for model in result["models"]] == ["poor", "good"]
    assert result["pairs"][0]["metrics"]["ari"]["difference"] > 0
    assert r"C\_1 minus A \& B" in command(store, "compare", poor, good, "--name", "A & B", "--name", "C_1",
                                           "--format", "latex").stdout  # fmt: skip


def test_compare_refuses_other_artifacts_and_a_single_evaluation(store: Path) -> None:
    predictions = Store(store).artifacts("predictions")[0].path
    assert "has kind 'predictions', but 'evaluation' is required" in sentence(
        command(store, "compare", predictions, predictions, status=10)
    )
    one = command(store, "eval").stdout.strip()
    assert "a comparison needs two evaluations or more" in sentence(command(store, "compare", one, status=3))
    assert "compare.flops is not a known key; did you mean 'flips'?" in sentence(
        command(store, "compare", one, one, "--set", "compare.flops=3", status=3)
    )


def test_a_metric_may_be_named_in_any_case_and_its_title_suggests_its_name(store: Path) -> None:
    lower = command(store, "eval", "--metric", "ari", "--metric", "miou")
    upper = command(store, "eval", "--metric", "ARI", "--metric", "mIoU", "--fail-under", "Ari=0.5")
    assert upper.stdout == lower.stdout and "up to date" in upper.stderr
    assert "did you mean 'ari'?" in sentence(command(store, "eval", "--metric", "FG-ARI", status=4))
    assert "did you mean 'miou-fg'?" in sentence(command(store, "eval", "--metric", "foreground MIOU", status=4))
