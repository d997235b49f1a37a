"""EfficientMORL's HDF5 files, with all types of images and masks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from iodine_kit.errors import SchemaError
from iodine_kit.layouts import Expected, addtt, efficient_morl
from iodine_kit.records import Array, DatasetInfo, Scene

N, K, H, W = 3, 4, 6, 8
RNG = np.random.default_rng(0)
IMAGE = RNG.integers(0, 256, (N, H, W, 3), np.uint8)
MASK = RNG.integers(0, K, (N, H, W), np.uint8)
OWNED = (MASK[:, None] == np.arange(K)[:, None, None])[..., None]


def expected(dataset: str = "tetrominoes") -> Expected:
    return Expected(dataset, DatasetInfo(dataset, H, W, K), {}, {})


def write(path: Path, image: Array = IMAGE, owned: Array = OWNED, **factors: Any) -> Path:
    with h5py.File(path, "w") as file:
        for split in ("test", "train"):
            file[f"{split}/imgs"], file[f"{split}/masks"] = image, owned
            for name, values in factors.items():
                file[f"{split}/{name.replace('__', '/')}"] = values
    return path


def read(path: Path, wanted: Expected | None = None) -> list[tuple[str, Scene]]:
    wanted, config = wanted or expected(), efficient_morl.Config()
    items = efficient_morl.items([path], wanted, config)
    return [(item.split, scene) for item in items for scene in efficient_morl.scenes(item, "key", wanted, config)]


@pytest.mark.parametrize("image", [IMAGE, IMAGE.astype(np.float32), (IMAGE / 255).astype(np.float32), IMAGE / 255])
@pytest.mark.parametrize("owned", [OWNED, OWNED * 1.0, OWNED * np.uint8(255), np.repeat(OWNED, 3, -1), OWNED[..., 0]])
def test_all_types_give_the_same_scenes(tmp_path: Path, image: Array, owned: Array) -> None:
    scenes = read(write(tmp_path / "tetrominoes.h5", image, owned))
    assert [split for split, _ in scenes] == ["train"] * N + ["test"] * N
    for row, (_, scene) in enumerate(scenes):
        assert (scene.image == IMAGE[row % N]).all() and (scene.mask == MASK[row % N]).all() and not scene.factors


def test_factors_of_entities_are_kept(tmp_path: Path) -> None:
    one, group = RNG.random((N, K, 5)), {"factors__x": RNG.random((N, K, 1)), "factors__scene": RNG.random((N, 2))}
    assert (read(write(tmp_path / "a.h5", factors=one))[1][1].factors["factors"] == one[1]).all()
    factors = read(write(tmp_path / "b.h5", **group))[1][1].factors
    assert factors.keys() == {"x"} and (factors["x"] == group["factors__x"][1, :, 0]).all()


def test_clevr_s_factors_have_names(tmp_path: Path) -> None:
    values = RNG.random((N, K, 9))
    factors = read(write(tmp_path / "a.h5", factors=values), expected("clevr"))[2][1].factors
    assert len(factors) == 9 and (factors["visibility"] == values[2, :, 8].astype(np.float32)).all()
    assert "factors" in read(tmp_path / "a.h5")[0][1].factors


def test_other_contents_are_refused(tmp_path: Path) -> None:
    overlap, gap = OWNED.copy(), OWNED.copy()
    overlap[1, :, 2, 3], gap[1, :, 2, 3] = True, False
    for number, (owned, message) in enumerate(
        (
            (overlap, r"train row 1: pixel \(2, 3\) belongs to 4 entities"),
            (gap, r"train row 1: pixel \(2, 3\) belongs to 0 entities"),
            (OWNED[:2], "different numbers of rows"),
            (np.moveaxis(OWNED, 1, 0), "different numbers of rows"),
        )
    ):
        with pytest.raises(SchemaError, match=message):
            read(write(tmp_path / f"{number}.h5", owned=owned))
    with pytest.raises(SchemaError, match="train: images are 6×8, those of clevr 240×320"):
        read(tmp_path / "0.h5", Expected("clevr", DatasetInfo("clevr", 240, 320, 11), {}, {}))


def test_a_linked_split_is_refused(tmp_path: Path) -> None:
    with h5py.File(write(tmp_path / "a.h5"), "a") as file:
        file["val"] = h5py.ExternalLink("elsewhere.h5", "/train")
    with pytest.raises(SchemaError, match="'val' is a link"):
        read(tmp_path / "a.h5")


def test_other_groups_are_refused_by_name(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["image"] = IMAGE
    with pytest.raises(SchemaError, match="has groups image, not only train, val and test"):
        read(tmp_path / "a.h5")
    assert not efficient_morl.recognises(tmp_path)


def test_recognition(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5")
    assert efficient_morl.recognises(path) and efficient_morl.recognises(tmp_path)
    assert not addtt.recognises(path)
