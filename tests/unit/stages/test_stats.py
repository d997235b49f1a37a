from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from unit.reporting.page_parser import PageParser
from unit.stages.artifact_builders import store_scenes

from iodine_kit.errors import ConfigError
from iodine_kit.records import DatasetInfo, Scene
from iodine_kit.runner import Context, obtain, run_stage
from iodine_kit.stages import stats
from iodine_kit.store import Artifact, Store

SIDE, ROWS = 12, 6
INFO = DatasetInfo("folder", SIDE, SIDE, ROWS, (0, 1), {"kind": ("none", "disc", "box", "star")})


def draw(rng: np.random.Generator, key: str) -> Scene:
    """Boxes on two background entities; some boxes are occluded by others, some rows are not visible."""
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[: SIDE // 3] = 1
    visibility = np.ones(ROWS, np.float32)
    visibility[2 + rng.integers(0, 5) :] = 0
    for index in range(2, int(visibility.sum())):
        top, left = rng.integers(0, SIDE - 4, 2)
        mask[top : top + 5, left : left + 5] = index
    factors = {
        "visibility": visibility,
        "kind": rng.integers(1, 3, ROWS).astype(np.float32),
        "x": rng.normal(5, 40, ROWS),
        "place": rng.integers(0, 9, (ROWS, 2)),
        "camera": rng.normal(size=(2, 2)),
    }
    return Scene(key, rng.integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8), mask, factors)


def again(scene: Scene, key: str) -> Scene:
    return Scene(key, scene.image, scene.mask, scene.factors)


@pytest.fixture(scope="module")
def scenes() -> dict[str, list[Scene]]:
    rng = np.random.default_rng(3)
    made = {"train": [draw(rng, f"a{i}") for i in range(40)], "test": [draw(rng, f"b{i}") for i in range(15)]}
    made["train"][31] = again(made["train"][4], "a31")
    made["train"][32] = again(made["train"][4], "a32")
    made["test"][7] = again(made["train"][4], "b7")
    made["test"][8] = again(made["train"][9], "b8")
    return made


@pytest.fixture(scope="module")
def dataset(scenes: dict[str, list[Scene]], tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return store_scenes(tmp_path_factory.mktemp("store"), scenes, INFO)


def run(dataset: Artifact, **config: Any) -> Artifact:
    return run_stage(stats, {"stats": config}, {"dataset": dataset}, Context(Store(dataset.path.parents[1])))


@pytest.fixture(scope="module")
def made(dataset: Artifact) -> Artifact:
    return run(dataset)


@pytest.fixture(scope="module")
def statistics(made: Artifact) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((made.path / "statistics.json").read_text("utf-8"))
    return content


def table_of(scenes: list[Scene]) -> pd.DataFrame:
    """One row per entity of each scene, computed entity by entity."""
    rows = []
    for scene in scenes:
        border = np.ones_like(scene.mask, bool)
        border[1:-1, 1:-1] = False
        for index in range(ROWS):
            inside = scene.mask == index
            place = {"key": scene.key, "index": index, "pixels": inside.sum(), "border": (inside & border).any()}
            values = {name: scene.factors[name][index] for name in ("x", "kind")}
            seen = scene.factors["visibility"][index] > 0
            rows.append(place | values | {"seen": seen, "place": scene.factors["place"][index, 1]})
    return pd.DataFrame(rows)


@pytest.mark.parametrize("split", ["train", "test", "all"])
def test_statistics_equal_those_of_pandas(
    scenes: dict[str, list[Scene]], statistics: dict[str, Any], split: str
) -> None:
    of = scenes["train"] + scenes["test"] if split == "all" else scenes[split]
    result = statistics["all"] if split == "all" else statistics["splits"][split]
    table = table_of(of)
    objects = table[(table["index"] > 1) & table["seen"]]
    per_scene = objects.groupby("key").size().reindex([scene.key for scene in of], fill_value=0)
    drawn = table[(table["index"] > 1) & (table["pixels"] > 0)]
    background = table[table["index"] <= 1].groupby("key")["pixels"].sum() / SIDE**2

    assert result["scenes"] == len(of)
    assert result["objects_per_scene"]["mean"] == pytest.approx(per_scene.mean())
    assert result["objects_per_scene"]["std"] == pytest.approx(per_scene.std(ddof=0))
    assert bars(result["objects_per_scene"]) == per_scene.value_counts().to_dict()
    assert result["without_objects"] == (per_scene == 0).sum() > 0
    assert result["unseen_objects"] == (objects["pixels"] == 0).sum()
    assert result["at_border"] == drawn["border"].sum()
    assert result["pixels_per_object"]["n"] == len(drawn)
    for at, value in result["pixels_per_object"]["quantiles"].items():
        assert value == pytest.approx(drawn["pixels"].quantile(float(at)))
        assert result["share_per_object"]["quantiles"][at] == pytest.approx(value / SIDE**2)
    assert result["background_share"]["mean"] == pytest.approx(background.mean())
    assert (result["background_share"]["minimum"], result["background_share"]["maximum"]) == pytest.approx(
        (background.min(), background.max())
    )


def bars(distribution: dict[str, Any]) -> dict[int, int]:
    """A histogram of integers as value → count, without empty bins."""
    shown = distribution["histogram"]
    assert shown["whole"]
    return {int(edge): count for edge, count in zip(shown["edges"], shown["counts"], strict=False) if count}


def test_statistics_of_channels_equal_those_of_numpy(
    scenes: dict[str, list[Scene]], statistics: dict[str, Any]
) -> None:
    pixels = np.stack([scene.image for scene in scenes["train"]]).reshape(-1, 3).astype(np.float64)
    result = statistics["splits"]["train"]["channels"]
    np.testing.assert_allclose([channel["mean"] for channel in result], pixels.mean(0))
    np.testing.assert_allclose([channel["std"] for channel in result], pixels.std(0))


def test_factors_include_visible_objects_only(scenes: dict[str, list[Scene]], statistics: dict[str, Any]) -> None:
    table = table_of(scenes["train"] + scenes["test"])
    objects = table[(table["index"] > 1) & table["seen"]]
    result = statistics["all"]["factors"]
    assert set(result) == {"kind", "x", "place"}  # without visibility and arrays that have no row per entity
    counts = objects["kind"].value_counts()
    assert result["kind"]["classes"] == {"disc": counts[1], "box": counts[2], "star": 0}
    (x,) = result["x"]["components"]
    assert (x["n"], x["mean"], x["std"]) == pytest.approx((len(objects), objects["x"].mean(), objects["x"].std(ddof=0)))
    expected, _ = np.histogram(objects["x"], x["histogram"]["edges"])
    assert x["histogram"]["counts"] == expected.tolist() and sum(expected) == len(objects)
    assert bars(result["place"]["components"][1]) == objects["place"].value_counts().to_dict()


def test_duplicate_images_are_reported_within_and_across_splits(statistics: dict[str, Any]) -> None:
    result = statistics["duplicates"]
    assert result["repeats"] == {"train": 2, "test": 0}
    assert result["shared"] == {"train": {"test": 4}, "test": {"train": 2}}
    assert (result["distinct"], result["leaking"]) == (55 - 4, 2)
    assert result["examples"] == [
        ["train/a4", "test/b7"], ["train/a9", "test/b8"], ["train/a4", "train/a31"], ["train/a4", "train/a32"],
    ]  # fmt: skip


def test_the_page_is_valid_and_self_contained_and_reports_duplicates(made: Artifact, dataset: Artifact) -> None:
    text = (made.path / "index.html").read_text("utf-8")
    page = PageParser(text)
    assert page.errors == [] and len(page.ids()) == len(set(page.ids()))
    sources = [image["src"] or "" for image in page.of("img")]
    assert len(sources) == 2 * 2 * 12 and all(source.startswith("data:image/png;base64,") for source in sources)
    assert "http" not in text.replace('"http-equiv', "").replace("http-equiv=", "")
    assert page.of("script") == [] and all(image["alt"] for image in page.of("img"))
    shown = " ".join(page.text)
    assert (
        "2 images occur in more than one split." in shown and "2 scenes repeat an earlier image of its split." in shown
    )
    assert dataset.reference.directory in shown and f"iodine-kit stats {dataset.reference.directory}" in shown


def test_a_limit_selects_the_first_scenes_of_every_split(scenes: dict[str, list[Scene]], dataset: Artifact) -> None:
    limited = run(dataset, limit=7, scenes=0)
    statistics = json.loads((limited.path / "statistics.json").read_text("utf-8"))
    assert (statistics["limit"], statistics["all"]["scenes"]) == (7, 14)
    pixels = np.concatenate([scene.image.ravel() for split in scenes.values() for scene in split[:7]])
    assert np.mean([c["mean"] for c in statistics["all"]["channels"]]) == pytest.approx(pixels.mean())
    page = (limited.path / "index.html").read_text("utf-8")
    assert "the first 7 of every split" in page and "--set stats.limit=7 --set stats.scenes=0" in page
    assert PageParser(page).of("img") == []


def test_the_same_data_set_gives_the_same_bytes_and_reuses_the_artifact(made: Artifact, dataset: Artifact) -> None:
    assert run(dataset).manifest.made == made.manifest.made
    job = stats.plan({}, {"dataset": dataset}, Context(Store.of(dataset)))
    rebuilt = obtain(job, Context(Store(dataset.path.parents[1]), overwrite=True))
    assert rebuilt.manifest.content == made.manifest.content


def test_scenes_without_masks_or_factors_have_a_page(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    scenes = [
        Scene(f"s{i}", rng.integers(0, 256, (4, 6, 3)).astype(np.uint8), np.zeros((4, 6), np.uint8)) for i in range(3)
    ]
    made = run(store_scenes(tmp_path, {"train": scenes}, DatasetInfo("folder", 0, 0, 1)))
    text = (made.path / "index.html").read_text("utf-8")
    assert "The scenes have no masks" in text and "Mask of scene" not in text and PageParser(text).errors == []
    # Nobody counted the objects of these scenes: they are not known to be without any.
    assert made.facts["all"]["scenes"] == 3 and made.facts["unmasked"] == ["train"]
    of_masks = ("objects_mean", "objects_std", "without_objects", "median_pixels", "background_share")
    assert [made.facts["all"][name] for name in of_masks] == [None] * 5


def test_empty_masks_are_masks_where_other_scenes_show_objects(tmp_path: Path) -> None:
    image, empty = np.zeros((4, 6, 3), np.uint8), np.zeros((4, 6), np.uint8)
    scenes = [Scene(f"s{i}", image + i, empty) for i in range(3)]
    made = run(store_scenes(tmp_path, {"train": scenes}, DatasetInfo("folder", 0, 0, 3)))
    text = (made.path / "index.html").read_text("utf-8")
    assert "No mask shows an object" in text and text.count("Mask of scene") == 3
    assert made.facts["all"]["without_objects"] == 3 and made.facts["all"]["background_share"] == 1
    assert "unmasked" not in made.facts


def test_statistics_of_masks_omit_the_splits_without_masks(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    mask = np.zeros((4, 6), np.uint8)
    mask[1:3, 1:4] = 1  # 6 of 24 pixels
    images = rng.integers(0, 256, (4, 4, 6, 3)).astype(np.uint8)
    splits = {
        "train": [Scene(f"a{i}", images[i], np.zeros_like(mask), has_mask=False) for i in range(3)],
        "test": [Scene("b0", images[3], mask)],
    }
    made = run(store_scenes(tmp_path, splits, DatasetInfo("folder", 0, 0, 2)))
    assert made.facts["unmasked"] == ["train"] and made.facts["all"]["scenes"] == 4
    assert made.facts["all"]["background_share"] == made.facts["splits"]["test"]["background_share"] == 0.75
    assert made.facts["all"]["without_objects"] == 0 and made.facts["splits"]["train"]["without_objects"] is None
    text = (made.path / "index.html").read_text("utf-8")
    assert "The scenes of split &#39;train&#39; have no masks" in text and text.count("Mask of scene") == 1
    assert json.loads((made.path / "statistics.json").read_text())["all"]["channels"][0]["n"] == 4 * 24


def test_objects_are_counted_by_factors_where_there_are_no_masks(tmp_path: Path) -> None:
    factors = {"visibility": np.array([1, 1, 1, 0], np.float32), "size": np.arange(4.0)}
    image, mask = np.zeros((4, 6, 3), np.uint8), np.zeros((4, 6), np.uint8)
    scenes = [Scene(f"s{i}", image + i, mask, factors, has_mask=False) for i in range(2)]
    made = run(store_scenes(tmp_path, {"train": scenes}, DatasetInfo("folder", 0, 0, 4)))
    statistics = json.loads((made.path / "statistics.json").read_text())["all"]
    assert statistics["objects_per_scene"]["mean"] == 2 and statistics["unseen_objects"] == 0
    assert statistics["factors"]["size"]["components"][0]["mean"] == 1.5  # of rows 1 and 2
    assert statistics["background_share"]["n"] == statistics["pixels_per_object"]["n"] == 0


def test_a_mistyped_key_is_refused() -> None:
    with pytest.raises(ConfigError, match="did you mean 'limit'"):
        stats.configure({"stats": {"limits": 3}})
