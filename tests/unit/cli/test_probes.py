"""The command probe as a shell sees it: what is printed and written, and with which sentence it refuses."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from typer.testing import CliRunner
from unit.evaluation.probing.scenes import ROOM, Made, made
from unit.stages.artifact_builders import store_scenes
from unit.stages.foreseen import store_masks, store_predictions

from iodine_kit.cli.app import app
from iodine_kit.records import DatasetInfo, Scene
from iodine_kit.store import Artifact

SCENES = 24


def world() -> Made:
    """Sizes are the first latent dimension, kinds the sign of the second; ``still`` never changes."""
    built = made(SCENES, 3)
    own = np.take_along_axis(built.loc_NKZ, built.slot_NE[..., None], 1)
    there = built.factors["visibility"] > 0
    built.factors["size"] = np.where(there, own[..., 0], 0).astype(np.float32)
    built.factors["kind"] = np.where(there, 1 + (own[..., 1] > 0), 0).astype(np.float32)
    built.factors["still"] = np.where(there, 7, 0).astype(np.uint8)
    return built


def store_world(root: Path, built: Made, *, latents: bool = True) -> Artifact:
    scenes = [
        Scene(key, image, mask, {name: values[i] for name, values in built.factors.items()})
        for i, (key, image, mask) in enumerate(
            zip(built.truth().keys, built.truth().image, built.truth().mask, strict=True)
        )
    ]
    info = DatasetInfo("blocks", 0, 0, ROOM + 1, classes={"kind": ("none", "round", "square")})
    predicted = built.prediction()
    fields = {"latent_loc": predicted.latent_loc, "latent_scale": predicted.latent_scale} if latents else {}
    dataset = store_scenes(root, {"test": scenes}, info)
    return store_predictions(root, dataset, built.guess, slots=ROOM + 1, **fields)


def command(store: Path, *arguments: object, status: int = 0) -> Result:
    done = CliRunner().invoke(app, ["probe", *map(str, arguments), "--store", str(store)])
    assert done.exit_code == status, done.output
    return done


def test_scores_of_factors_are_printed_and_written(tmp_path: Path) -> None:
    built = world()
    store_world(tmp_path, built)
    done = command(tmp_path)
    place = Path(done.stdout.strip())
    facts = json.loads((place / "summary.json").read_text("utf-8"))
    assert (facts["scenes"], facts["objects"], facts["unmatched"]) == (SCENES, built.counts_N.sum(), 0)
    size, kind = facts["factors"]["size"], facts["factors"]["kind"]
    assert list(facts["factors"]) == ["kind", "size"] and (size["score"], kind["score"]) == ("r2", "accuracy")
    assert size["linear"]["score"] > 0.99 and size["baseline"] <= 0 and kind["classes"] == 2
    low, high = kind["linear"]["interval"]
    assert 0.6 < low <= kind["linear"]["score"] <= high <= 1
    assert np.shape(facts["dci"]["importance"]) == (3, 2) and facts["dci"]["factors"] == ["kind", "size"]
    assert sum(facts["slots"]["active_counts"].values()) == SCENES and len(facts["slots"]["kl_per_slot"]) == ROOM + 1
    assert "still" in facts["left_out"] and "no padding" in facts["conventions"]["objects"]
    rows = list(csv.DictReader((place / "table.csv").open(encoding="utf-8")))
    assert float(rows[1]["linear"]) == size["linear"]["score"] and rows[0]["linear interval low"]
    assert "| size | R² |" in (place / "table.md").read_text("utf-8")
    printed = " ".join(done.stderr.split())
    assert (
        f"blocks test, {SCENES} scenes" in printed
        and "size R²" in printed
        and "kind accuracy" in printed
        and "still omitted" in printed
    )
    assert "up to date" in command(tmp_path, "--set", "probe.match=mask").stderr


def test_a_match_by_loss_and_the_first_scenes_only(tmp_path: Path) -> None:
    built = world()
    store_world(tmp_path, built)
    printed = command(
        tmp_path, "--set", "probe.match=loss", "--json", "--set", "probe.scenes=10", "--set", "probe.factors=['size']"
    )
    facts = json.loads(printed.stdout)
    assert facts["matching"] == "loss" and set(facts["agreement"]) == {"linear", "mlp"}
    assert (facts["scenes"], facts["objects"]) == (10, built.counts_N[:10].sum())
    assert list(facts["factors"]) == ["size"] and facts["dci"]["disentanglement"] is None


@pytest.mark.parametrize(
    ("settings", "status", "sentence"),
    [
        (["probe.factors=['siez']"], 7, "has no factor 'siez'; did you mean 'size'?"),
        (["probe.factors=['still']"], 7, "no factor can be predicted (still: it has the same value for all objects)"),
        (["probe.factors=['still','size']"], 7, "not all of probe.factors can be predicted (still: it has the same"),
        (["probe.scenes=4"], 8, "4 scenes are fewer than the 5 folds of scenes: infer more, or reduce probe.folds"),
        (["probe.fold=4"], 3, "probe.fold is not a known key; did you mean 'folds'?"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings: list[str], status: int, sentence: str, tmp_path: Path) -> None:
    store_world(tmp_path, world())
    options = [part for setting in settings for part in ("--set", setting)]
    printed = " ".join(command(tmp_path, *options, status=status).stderr.split())
    assert sentence in printed and "Traceback" not in printed and printed.count("error: ") <= 1


def test_predictions_without_latents_and_data_without_factors_are_refused(tmp_path: Path) -> None:
    store_world(tmp_path / "a", world(), latents=False)
    assert "no latents were stored: rerun inference" in command(tmp_path / "a", status=7).stderr
    predicted = world().prediction()
    dataset = store_masks(tmp_path / "b", world().mask)
    fields = {"latent_loc": predicted.latent_loc, "latent_scale": predicted.latent_scale}
    store_predictions(tmp_path / "b", dataset, world().guess, **fields)
    assert "its scenes have no factors of objects" in command(tmp_path / "b", status=7).stderr


def test_too_few_objects_are_refused(tmp_path: Path) -> None:
    built = world()
    built.mask[3:] = 0
    built.mask[:3] = np.minimum(built.mask[:3], 1)
    store_world(tmp_path, built)
    assert "its scenes show 3 objects, and 5 folds need 10 or more" in command(tmp_path, status=8).stderr
