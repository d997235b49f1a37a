"""Data sets without masks know that they have none: nothing is compared with a truth that does not exist."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray
from support import Command, put, scene

OF_MASKS = ("ari", "ari-all", "ap", "boundary-f", "count-accuracy", "dice", "mbo", "miou", "miou-fg", "msc",
            "recovery", "sc", "sc-fg")  # fmt: skip
SMALL = """
[prepare]
dataset = "folder"
source = ["in"]
split = {train = 4, test = 2}
[model]
steps = 1
slots = 3
latent = 3
gradient_reduction = "per-image"
decoder = {kernel = 3, channels = [4]}
refinement = {channels = [4], mlp = [4]}
[train]
steps = 2
batch_size = 2
validate_every = 1
validate_split = "test"
device = "cpu"
threads = 1
[infer]
device = "cpu"
"""


def pictures(folder: Path, count: int = 6, *, masks: bool = False, empty: bool = False) -> Path:
    """A folder of pictures, with their masks or without."""
    for number in range(count):
        image, mask = scene(number, objects=0 if empty else 3)
        put(folder / f"images/{number}.png" if masks else folder / f"{number}.png", image)
        if masks:
            put(folder / f"masks/{number}.png", mask)
    return folder


def prepared(iodine_kit: Command, root: Path, folder: str = "in", *more: object) -> Path:
    return root / iodine_kit("prepare", "folder", "--source", folder, *more).stdout.strip()


def predictions(dataset: Path, name: str = "noise.npz", split: str = "test", **fields: NDArray[np.generic]) -> str:
    """A file of noise as predictions for a split, beside the store; more fields may replace the noise."""
    with h5py.File(dataset / f"{split}.h5") as file:
        keys, shape = file["key"].asstr()[:].astype("U"), file["mask"].shape
    noise = np.random.default_rng(0).integers(0, 4, shape).astype(np.uint8)
    np.savez(dataset.parents[2] / name, **{"mask": noise, "key": keys, **fields})  # type: ignore[arg-type]
    return name


def scores(artifact: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((artifact / "summary.json").read_text("utf-8"))["metrics"]
    return found


def one_sentence(text: str, *words: str) -> None:
    """The last line is an error that has these words, and nothing is a traceback."""
    last = text.strip().splitlines()[-1]
    assert last.startswith("error: ") and "Traceback" not in text, text
    for word in words:
        assert word in last, f"'{word}' is not in: {last}"


def test_a_folder_without_masks_says_so_in_its_description(iodine_kit: Command, tmp_path: Path) -> None:
    pictures(tmp_path / "in", 4)
    dataset = prepared(iodine_kit, tmp_path)
    facts = json.loads((dataset / "dataset.json").read_text("utf-8"))
    assert facts["unmasked"] == ["train"]


def test_noise_has_no_score_on_pictures_without_masks(iodine_kit: Command, tmp_path: Path) -> None:
    pictures(tmp_path / "in")
    dataset = prepared(iodine_kit, tmp_path, "in", "--split", "test=6")
    file = predictions(dataset)
    refused = iodine_kit("eval", "--predictions", file, "--dataset", dataset, status=7)
    one_sentence(refused.stderr, "split 'test'", "has no masks")
    for name in ("ap", "count-accuracy", "sc"):
        refused = iodine_kit("eval", "--predictions", file, "--dataset", dataset, "--metric", name, status=7)
        one_sentence(refused.stderr, f"'{name}'", "needs true masks", "has no masks")
    assert not list((tmp_path / "data").glob("evaluation/*/summary.json"))


def test_reconstructions_are_scored_without_masks_and_nothing_else(iodine_kit: Command, tmp_path: Path) -> None:
    pictures(tmp_path / "in")
    dataset = prepared(iodine_kit, tmp_path, "in", "--split", "test=6")
    with h5py.File(dataset / "test.h5") as file:
        image = file["image"][:].astype(np.float32) / 255
    file = predictions(dataset, reconstruction=image + np.float32(0.1))
    done = iodine_kit("eval", "--predictions", file, "--dataset", dataset)
    artifact = tmp_path / done.stdout.strip()
    assert set(scores(artifact)) == {"mse", "psnr", "ssim"} and "has no masks" in done.stderr
    assert scores(artifact)["mse"]["mean"] == pytest.approx(0.01, rel=1e-4)  # type: ignore[index]
    for table in ("scenes.csv", "objects.csv", "summary.csv"):
        with (artifact / table).open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
        assert not {"objects", "foreground"} & set(rows[0] if rows else ())
        assert not {row.get("metric") for row in rows} & set(OF_MASKS)
    refused = iodine_kit(
        "eval", "--predictions", artifact_of(tmp_path, "predictions"), "--fail-under", "ari=0.9", status=3
    )
    one_sentence(refused.stderr, "'ari' is not evaluated", "has no masks")


def artifact_of(root: Path, kind: str) -> str:
    """The only artifact of a kind."""
    (found,) = (root / "data" / kind).glob("*-????????????")
    return str(found.relative_to(root))


def test_the_remedy_works_masks_can_be_added_to_the_same_pictures(iodine_kit: Command, tmp_path: Path) -> None:
    pictures(tmp_path / "in")
    pictures(tmp_path / "both", masks=True)
    bare = prepared(iodine_kit, tmp_path, "in", "--split", "test=6")
    masked = prepared(iodine_kit, tmp_path, "both", "--split", "test=6")
    with h5py.File(masked / "test.h5") as file:
        truth = file["mask"][:]
    iodine_kit("import-predictions", predictions(bare, mask=truth), "--dataset", bare)
    stored = artifact_of(tmp_path, "predictions")
    refused = iodine_kit("eval", "--predictions", stored, status=7)
    one_sentence(refused.stderr, "name the same pictures, prepared with their masks, with --dataset")
    done = iodine_kit("eval", "--predictions", stored, "--dataset", masked)
    assert scores(tmp_path / done.stdout.strip())["ari"]["mean"] == 1  # type: ignore[index]


def test_masks_that_show_no_object_give_no_score_without_a_word(iodine_kit: Command, tmp_path: Path) -> None:
    pictures(tmp_path / "in/train", masks=True)
    pictures(tmp_path / "in/test", masks=True, empty=True)
    dataset = prepared(iodine_kit, tmp_path)
    file = predictions(dataset)
    done = iodine_kit("eval", "--predictions", file, "--dataset", dataset)
    assert "No true mask shows an object" in done.stderr
    markdown = (tmp_path / done.stdout.strip() / "summary.md").read_text("utf-8")
    assert "No true mask shows an object" in markdown


def test_statistics_say_that_there_are_no_masks(iodine_kit: Command, tmp_path: Path) -> None:
    pictures(tmp_path / "in")
    dataset = prepared(iodine_kit, tmp_path)
    done = iodine_kit("stats", dataset, "--json")
    facts = json.loads(done.stdout)
    assert facts["all"]["scenes"] == 6 and facts["all"]["background_share"] is None
    assert facts["all"]["without_objects"] is None and "no masks" in done.stderr
    page = (tmp_path / facts["page"]).read_text("utf-8")
    assert "The scenes have no masks" in page and "Mask of scene" not in page


def test_a_pipeline_of_pictures_without_masks_ends_in_a_report_that_says_so(
    iodine_kit: Command, tmp_path: Path
) -> None:
    pictures(tmp_path / "in")
    (tmp_path / "own.toml").write_text(SMALL)
    done = iodine_kit("run", "own.toml")
    page = (tmp_path / done.stdout.strip() / "index.html").read_text("utf-8")
    assert "The scenes have no true masks" in page and "true mask of" not in page.lower()
    assert "no true masks" in (tmp_path / done.stdout.strip() / "report.md").read_text("utf-8")
    log = [json.loads(line) for line in next((tmp_path / "data/run").glob("*/metrics.jsonl")).read_text().splitlines()]
    assert [row for row in log if "val_loss" in row] and not [row for row in log if "fg_ari" in row]
    refused = iodine_kit("eval", "--fail-under", "ari=0.9", status=3)
    one_sentence(refused.stderr, "'ari' is not evaluated", "has no masks")
    one_sentence(iodine_kit("probe", status=7).stderr, "true masks", "has no masks")


@pytest.mark.parametrize(
    ("settings", "status", "words"),
    [
        (["eval.metrics=['mse', 'ari']"], 7, ["'ari' needs true masks", "has no masks"]),
        (["train.select=best"], 3, ["needs true masks", "has no masks", "train.select=best-elbo"]),
        (["preprocess.min_objects=1"], 7, ["preprocess.min_objects", "no mask", "omit the filter"]),
    ],
)
def test_what_needs_masks_is_refused_before_training(
    iodine_kit: Command, tmp_path: Path, settings: Sequence[str], status: int, words: Sequence[str]
) -> None:
    pictures(tmp_path / "in")
    (tmp_path / "own.toml").write_text(SMALL)
    options = [part for setting in settings for part in ("--set", setting)]
    refused = iodine_kit("run", "own.toml", *options, status=status)
    one_sentence(refused.stderr, *words)
    assert not list((tmp_path / "data").glob("run/*/metrics.jsonl"))


def trained(iodine_kit: Command, root: Path) -> Path:
    """The data set of a finished pipeline of pictures without masks."""
    pictures(root / "in")
    (root / "own.toml").write_text(SMALL)
    iodine_kit("run", "own.toml")
    return root / artifact_of(root, "dataset")


def test_studies_and_probes_are_refused_before_they_train_or_infer(iodine_kit: Command, tmp_path: Path) -> None:
    dataset = trained(iodine_kit, tmp_path)
    for name in ("seeds", "slots", "multistability", "recipe"):
        refused = iodine_kit("study", name, "--pipeline", "own.toml", "--set", "train.seed=5", status=7)
        one_sentence(refused.stderr, "FG-ARI", "true masks", "has no masks", "--pipeline")
    refused = iodine_kit("study", "steps", "--run", artifact_of(tmp_path, "run"), status=7)
    one_sentence(refused.stderr, "true masks", "has no masks", "--run")
    refused = iodine_kit("run", "own.toml", "--set", "probe.folds=2", "--set", "train.seed=5", status=7)
    one_sentence(refused.stderr, "probe", "true masks", dataset.name)
    assert len(list((tmp_path / "data").glob("run/*/manifest.json"))) == 1
    assert len(list((tmp_path / "data").glob("predictions/*/manifest.json"))) == 1


def test_models_are_compared_by_metrics_of_images_on_a_page_without_true_masks(
    iodine_kit: Command, tmp_path: Path
) -> None:
    trained(iodine_kit, tmp_path)
    first = iodine_kit("eval", "--set", "eval.resolution=12")
    assert "eval.resolution does nothing" in first.stderr and "48×48" in first.stderr
    iodine_kit("infer", "--set", "infer.slots=2", "--set", "infer.device=cpu")
    second = iodine_kit("eval").stdout.strip()
    compared = iodine_kit("compare", first.stdout.strip(), second, "--json")
    assert set(json.loads(compared.stdout)["metrics"]) == {"elbo", "kl", "nll", "mse", "psnr", "ssim"}
    page = tmp_path / iodine_kit("report", "--evaluation", second).stdout.strip() / "index.html"
    assert "True mask of scene" not in page.read_text("utf-8")


def test_the_original_clevr_has_factors_and_counts_but_no_masks(iodine_kit: Command, tmp_path: Path) -> None:
    root = tmp_path / "CLEVR_v1.0"
    scenes = []
    for number in range(3):
        picture = np.random.default_rng(number).integers(0, 256, (320, 480, 3), np.uint8)
        name = f"CLEVR_train_{number:06d}.png"
        put(root / "images/train" / name, picture)
        one = {"color": "red", "size": "large", "shape": "cube", "material": "metal", "rotation": 10.0,
               "3d_coords": [0.0, 1.0, 0.7], "pixel_coords": [100, 100, 9.0]}  # fmt: skip
        directions = {name: [0.0, 0.0, 1.0] for name in ("right", "behind", "above", "below", "left", "front")}
        relations = {name: [[]] * (number + 1) for name in ("right", "behind", "front", "left")}
        scenes.append({"split": "train", "image_filename": name, "image_index": number, "objects": [one] * (number + 1),
                       "relationships": relations, "directions": directions})  # fmt: skip
    (root / "scenes").mkdir()
    listed = {"info": {"split": "train", "version": "1.0", "date": "", "license": ""}, "scenes": scenes}
    (root / "scenes/CLEVR_train_scenes.json").write_text(json.dumps(listed))
    dataset = (
        tmp_path
        / iodine_kit("prepare", "clevr", "--source", "CLEVR_v1.0", "--set", "preprocess.size=16").stdout.strip()
    )
    facts = json.loads(iodine_kit("stats", dataset, "--json").stdout)
    assert facts["all"]["objects_mean"] == 2 and facts["all"]["background_share"] is None
    file = predictions(dataset, split="train")
    refused = iodine_kit("eval", "--predictions", file, "--dataset", dataset, "--set", "import.split=train", status=7)
    one_sentence(refused.stderr, "has no masks")
    filtered = ("--set", "preprocess.size=16", "--set", "preprocess.max_objects=2")
    kept = tmp_path / iodine_kit("prepare", "clevr", "--source", "CLEVR_v1.0", *filtered).stdout.strip()
    assert json.loads((kept / "dataset.json").read_text("utf-8"))["splits"] == {"train": 2}
    refused = iodine_kit(
        "prepare", "clevr", "--source", "CLEVR_v1.0", *filtered, "--set", "preprocess.count=pixels", status=7
    )
    one_sentence(refused.stderr, "preprocess.max_objects", "no mask", "omit the filter")


def test_masks_of_some_splits_count_for_these_splits_alone(iodine_kit: Command, tmp_path: Path) -> None:
    for number in range(3):
        image, mask = scene(number)
        put(tmp_path / f"in/train/images/{number}.png", image)
        put(tmp_path / f"in/train/masks/{number}.png", mask)
        put(tmp_path / f"in/test/images/{number}.png", scene(number + 50)[0])
    dataset = prepared(iodine_kit, tmp_path)
    assert json.loads((dataset / "dataset.json").read_text("utf-8"))["unmasked"] == ["test"]
    facts = json.loads(iodine_kit("stats", dataset, "--json").stdout)
    assert facts["splits"]["test"]["background_share"] is None
    assert facts["all"]["background_share"] == facts["splits"]["train"]["background_share"] < 1
    train, test = predictions(dataset, "train.npz", split="train"), predictions(dataset, "test.npz")
    done = iodine_kit("eval", "--predictions", train, "--dataset", dataset, "--set", "import.split=train")
    assert set(scores(tmp_path / done.stdout.strip())) == set(OF_MASKS)
    refused = iodine_kit("eval", "--predictions", test, "--dataset", dataset, status=7)
    one_sentence(refused.stderr, "split 'test'", "has no masks")
