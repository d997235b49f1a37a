"""Models that ship with their weights: packaged from a run, listed, checked, and used like any other."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from support import TINY, Command
from unit.stages.artifact_builders import store_scenes
from unit.training.toy_model import Notes

from iodine_kit import pretrained
from iodine_kit.artifacts.trained_model import behind, load_model, of_pretrained
from iodine_kit.config import parse_overrides
from iodine_kit.errors import ArtifactCorruptError, ConfigError, ImageSizeError, SchemaError, UnknownNameError
from iodine_kit.models import MODELS
from iodine_kit.records import DatasetInfo, Scene
from iodine_kit.runner import Context, obtain, run_stage
from iodine_kit.stages import evaluate, infer, package_model, train, traverse
from iodine_kit.store import Artifact, Store

CARD_TEXT = package_model.CardText("squares before black", remake="make squares")


def scenes(count: int, size: int = 6, background: int = 0) -> list[Scene]:
    """Two squares of random colours each."""
    draw, made = np.random.default_rng(count), []
    for number in range(count):
        mask = np.zeros((size, size), np.uint8)
        mask[:2, :2], mask[3:, 2:5] = 1, 2
        colour = draw.integers(50, 256, (3, 3), dtype=np.uint8)
        colour[0] = background
        made.append(Scene(f"s{number}", colour[mask], mask))
    return made


def dataset_in(root: Path, name: str = "blocks", size: int = 6, background: int = 0) -> Artifact:
    splits = {"train": scenes(12, size, background), "test": scenes(7, size, background)}
    return store_scenes(root, splits, DatasetInfo(name, 0, 0, 3))


def run_of(dataset: Artifact, *settings: str) -> Artifact:
    defaults = [*TINY[1::2], "model.slots=3", "train.steps=2", "train.device='cpu'", "train.tensorboard=false"]
    tables: Any = parse_overrides([*defaults, *settings], train.TABLES)
    return run_stage(train, tables, {"dataset": dataset}, Context(Store.of(dataset), Notes()))


def evaluated(run: Artifact, dataset: Artifact, **values: Any) -> Artifact:
    store = Store.of(dataset)
    predictions = run_stage(infer, {"infer": values}, {"run": run, "dataset": dataset}, Context(store, Notes()))
    job = evaluate.plan(
        {"eval": {"metrics": ["ari", "mse"]}},
        {"predictions": predictions, "dataset": dataset},
        Context(Store.of(dataset), Notes()),
    )
    return obtain(job, Context(store, Notes()))


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for pretrained models beside those that ship."""
    monkeypatch.setenv(pretrained.VARIABLE, str(tmp_path / "shelf"))
    return tmp_path / "shelf"


@pytest.fixture
def squares(shelf: Path, tmp_path: Path) -> Artifact:
    """A run in two phases that is packaged as "squares", its best scores with T = 2 and two restarts."""
    dataset = dataset_in(tmp_path / "data")
    first = run_of(dataset, "train.seed=3")
    run = run_of(dataset, f"train.from={first.path}", "model.steps=2", "train.steps=3")
    scores = [evaluated(run, dataset, steps=2, restarts=2, batch_size=4), evaluated(run, dataset)]
    package_model.package("squares", scores, Store.of(dataset), shelf, CARD_TEXT)
    return run


def test_the_card_says_how_the_weights_came_to_be_and_how_good_they_are(squares: Artifact, shelf: Path) -> None:
    card = pretrained.card("squares")
    assert card.weights_sha256 == squares.manifest.files["weights.safetensors"].sha256
    assert [(phase.steps, phase.images, phase.train["seed"]) for phase in card.training] == [(2, 8, 3), (3, 12, 0)]
    assert [phase.model["steps"] for phase in card.training] == [1, 2] and card.model["steps"] == 2
    assert card.inference.model_dump() == {"slots": 3, "steps": 2, "restarts": 2, "batch_size": 4}
    best, single = card.scores
    assert (best.restarts, best.steps, single.restarts, single.steps, best.scenes) == (2, 2, 1, 2, 7)
    ari = best.metrics["ari"]
    assert ari.mean is not None and ari.interval is not None and ari.interval[0] <= ari.mean <= ari.interval[1]
    assert (card.images.height, card.images.median) == (6, (0.0, 0.0, 0.0)) and card.remake == "make squares"
    assert card.data.key == squares.manifest.identity.inputs["dataset"].key
    assert str(shelf.parent) not in (shelf / "squares" / "card.json").read_text("utf-8")


def test_in_python_it_is_the_model_of_the_run_ready_to_infer(squares: Artifact) -> None:
    model = pretrained.load("squares")
    assert not model.training and not any(parameter.requires_grad for parameter in model.parameters())
    for name, value in load_model(squares).state_dict().items():
        assert torch.equal(value, model.state_dict()[name])
    assert pretrained.names() == sorted({*pretrained.names(), "squares"})
    with pytest.raises(UnknownNameError, match="no pretrained model is called 'square'; did you mean 'squares'"):
        pretrained.load("pretrained:square")
    with pytest.raises(UnknownNameError):
        pretrained.load("../shelf/squares")


def test_in_another_store_it_predicts_what_its_run_predicts(squares: Artifact, tmp_path: Path) -> None:
    """With the card's settings unless others are given; the predictions are enough for what comes after."""
    dataset = dataset_in(tmp_path / "other")
    store, notes = Store.of(dataset), Notes()
    job = infer.plan({}, {"dataset": dataset}, Context(Store.of(dataset), notes), of_pretrained("squares"))
    assert notes.texts == []
    made = obtain(job, Context(store, notes))
    assert (made.facts["steps"], made.facts["restarts"], made.facts["slots"]) == (2, 2, 3)
    here = Store.of(squares)
    same = [a for a in here.artifacts("predictions") if a.facts["restarts"] == 2]
    assert made.manifest.files["predictions.h5"] == same[0].manifest.files["predictions.h5"]
    (source,) = made.manifest.identity.sources
    assert source.sha256 == squares.manifest.files["weights.safetensors"].sha256
    assert made.config["model"]["name"] == "iodine" and made.facts["model"] == "pretrained:squares"
    moved = traverse.plan(
        {"traverse": {"scenes": 1, "dimensions": 1}},
        {"predictions": made, "dataset": dataset},
        Context(Store.of(dataset), notes),
        behind(made, store),
    )
    assert obtain(moved, Context(store, notes)).facts["scenes"] == 1
    other = infer.plan(
        {"infer": {"restarts": 1, "slots": 2}},
        {"dataset": dataset},
        Context(Store.of(dataset), notes),
        of_pretrained("squares"),
    )
    assert other.identity.config["infer"]["slots"] == 2 and other.identity.config["infer"]["steps"] == 2


def test_images_of_another_size_or_range_get_a_note_and_too_small_ones_are_refused(
    squares: Artifact, tmp_path: Path
) -> None:
    notes = Notes()
    white = dataset_in(tmp_path / "white", size=8, background=255)
    obtain(
        infer.plan({}, {"dataset": white}, Context(Store.of(white), notes), of_pretrained("squares")),
        Context(Store.of(white), notes),
    )
    (note,) = notes.texts
    assert note.startswith(
        "note: pretrained:squares: the model was trained on images of 6×6 pixels, but these have 8×8"
    )
    assert "median of their channels is 1.00 1.00 1.00" in note
    tiny = store_scenes(tmp_path / "tiny", {"test": [Scene("a", np.zeros((2, 2, 3), np.uint8),
                        np.zeros((2, 2), np.uint8))]}, DatasetInfo("tiny", 0, 0, 1))  # fmt: skip
    with pytest.raises(ImageSizeError, match="needs images of at least 3×3 pixels, but these are 2×2"):
        infer.plan({}, {"dataset": tiny}, Context(Store.of(tiny), notes), of_pretrained("squares"))


def test_files_that_were_altered_are_refused(squares: Artifact, shelf: Path) -> None:
    path = shelf / "squares" / "weights.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(ArtifactCorruptError, match=r"the sha256 differs from the one on its card"):
        of_pretrained("squares")
    path.unlink()
    with pytest.raises(ArtifactCorruptError, match="is missing"):
        pretrained.load("squares")
    card = shelf / "squares" / "card.json"
    card.write_text(card.read_text("utf-8").replace('"summary"', '"sumary"'), "utf-8")
    with pytest.raises(ArtifactCorruptError, match=r"card\.json: not a card .* \(2 invalid fields"):
        pretrained.card("squares")


def test_weights_of_another_version_of_the_model_are_refused(
    squares: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MODELS.load("iodine"), "VERSION", 99)
    for use in (pretrained.load, of_pretrained):
        with pytest.raises(SchemaError, match="of the model iodine, but version 99 is installed"):
            use("squares")


def test_training_can_start_from_it(squares: Artifact, tmp_path: Path) -> None:
    dataset = dataset_in(tmp_path / "other")
    run = run_of(dataset, "train.from=pretrained:squares", "train.learning_rate=1e-30", "train.seed=9")
    assert run.manifest.files["weights.safetensors"].sha256 == squares.manifest.files["weights.safetensors"].sha256
    assert run.manifest.identity.sources[0].sha256 == squares.manifest.files["weights.safetensors"].sha256


def test_only_one_finished_small_run_is_packaged(
    squares: Artifact, shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = dataset_in(tmp_path / "data")
    store = Store.of(dataset)
    both = [evaluated(squares, dataset), evaluated(run_of(dataset, "train.seed=7"), dataset)]
    with pytest.raises(SchemaError, match="the evaluations are of 2 runs, but a card describes one run"):
        package_model.package("both", both, store, shelf, CARD_TEXT)
    with pytest.raises(ConfigError, match="squares exists: pass --overwrite"):
        package_model.package("squares", both[:1], store, shelf, CARD_TEXT)
    with pytest.raises(ConfigError, match=r"'\.\./Squares' is not allowed as the name"):
        package_model.package("../Squares", both[:1], store, shelf, CARD_TEXT)
    package_model.package("squares", both[:1], store, shelf, CARD_TEXT, overwrite=True)
    assert len(pretrained.card("squares").scores) == 1
    monkeypatch.setattr(package_model, "LARGEST", 1000)
    with pytest.raises(ConfigError, match=r"MB are more than the 1\.0 kB that a pretrained model may have: train"):
        package_model.package("large", both[:1], store, shelf, CARD_TEXT)
    job = infer.plan({}, {"dataset": dataset}, Context(Store.of(dataset), Notes()), of_pretrained("squares"))
    made = obtain(job, Context(store, Notes()))
    scored = run_stage(
        evaluate, {"eval": {"metrics": ["ari"]}}, {"predictions": made, "dataset": dataset}, Context(store, Notes())
    )
    with pytest.raises(SchemaError, match="not predictions of a finished run"):
        package_model.package("again", [scored], store, shelf, CARD_TEXT)
    assert sorted(path.name for path in shelf.iterdir()) == ["squares"]


SHIPPED = [path.parent.name for path in pretrained.HERE.glob("*/card.json")]


def test_a_model_for_tetrominoes_ships() -> None:
    assert "tetrominoes" in SHIPPED


@pytest.mark.parametrize("name", SHIPPED)
def test_what_ships_is_whole_small_and_ready(name: str) -> None:
    card = pretrained.card(name)
    assert len(pretrained.weights(name)) == card.weights_bytes <= package_model.LARGEST
    assert sum(p.numel() for p in pretrained.load(name).parameters()) >= card.parameters
    assert card.scores and card.training and card.remake


@pytest.mark.slow
def test_the_shipped_tetrominoes_model_takes_new_scenes_apart(iodine_kit: Command) -> None:
    """40 scenes of a seed that nothing was trained on. The card says 0.996 over 320 scenes with 6 inferences."""
    iodine_kit("prepare", "tetrominoes", "--generate", 40, "--split", "test=40", "--seed", 424242)
    iodine_kit("infer", "--model", "pretrained:tetrominoes", "--set", "infer.restarts=3", "--set", "infer.threads=1")
    done = iodine_kit("eval", "--metric", "ari", "--metric", "mse", "--metric", "miou-fg", "--json")
    metrics = json.loads(done.stdout)["metrics"]
    assert metrics["ari"]["mean"] > 0.97 and metrics["miou-fg"]["mean"] > 0.97 and metrics["mse"]["mean"] < 2e-3


@pytest.mark.slow
def test_on_the_command_line_down_to_the_report(iodine_kit: Command, tmp_path: Path, shelf: Path) -> None:
    iodine_kit("prepare", "tetrominoes", "--generate", 40, "--set", "dataset.cell=1", "--split", "train=20",
               "--split", "test=20")  # fmt: skip
    iodine_kit("train", *TINY, "--set", "train.steps=2")
    iodine_kit("infer", "--set", "infer.steps=2")
    evaluation = iodine_kit("eval", "--metric", "ari").stdout.strip()
    place = iodine_kit("package-model", "tiny", evaluation, "--to", shelf, "--remake", "make tiny").stdout.strip()
    assert Path(place) == shelf / "tiny"
    card = json.loads(iodine_kit("models", "tiny", "--json").stdout)
    assert card["remake"] == "make tiny"
    shutil.rmtree(tmp_path / "data" / "run")
    shutil.rmtree(tmp_path / "data" / "predictions")

    listed = iodine_kit("models")
    assert "pretrained:tiny" in listed.stdout and "release-clevr6" in listed.stdout
    assert [row["name"] for row in json.loads(iodine_kit("models", "--json").stdout)["pretrained"]].count("tiny") == 1
    shown = iodine_kit("models", "tiny").stdout
    assert "FG-ARI" in shown or "ARI" in shown
    assert card["weights_sha256"] in shown and "phase 1: run/iodine-tetrominoes-" in shown

    done = iodine_kit("infer", "--model", "pretrained:tiny")
    assert "using dataset" in done.stderr and "note:" not in done.stderr
    iodine_kit("eval", "--metric", "ari")
    iodine_kit("probe", "--set", "probe.folds=2")
    iodine_kit("traverse", "--set", "traverse.dimensions=2")
    page = (tmp_path / iodine_kit("report").stdout.strip() / "index.html").read_text("utf-8")
    assert "pretrained:tiny" in page and card["weights_sha256"] in page

    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(12):
        Image.fromarray(np.full((9, 9, 3), 250 - number, np.uint8)).save(pictures / f"{number}.png")
    iodine_kit("prepare", "folder", "--source", pictures)
    own = iodine_kit("infer", "--model", "pretrained:tiny")
    assert own.stderr.count("note:") == 2 and "have 9×9" in own.stderr and "median" in own.stderr
    assert "note: infer.split=train, the only split of" in own.stderr
    assert iodine_kit("infer", "--model", "tinny", status=4).stderr.strip().endswith("did you mean 'tiny'?")
    iodine_kit("infer", "--model", "tiny", "--checkpoint", "latest", status=2)
    assert "initial" in iodine_kit("train", *TINY, "--dataset", card["data"]["key"][:8], "--set", "model.latent=9",
                                   "--from", "pretrained:tiny", status=7).stderr  # fmt: skip
