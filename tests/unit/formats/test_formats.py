"""Requirements of every storage format; a new format is tested automatically."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from unit.formats.stored_scenes import each_format, same, scenes, written

from iodine_kit.errors import CorruptDataError
from iodine_kit.formats import FORMATS
from iodine_kit.records import Scene


@each_format
def test_written_scenes_are_read_back_unchanged(name: str, tmp_path: Path) -> None:
    given = scenes(7)
    reader = FORMATS.load(name).open_split(written(name, tmp_path, given), "train")
    assert len(reader) == 7 and reader.keys() == [scene.key for scene in given]
    assert all(same(reader.scene(i), scene) for i, scene in enumerate(given))
    order = [5, 0, 5, 2]
    batch = reader.batch(order)
    assert batch.keys == tuple(given[i].key for i in order)
    assert (batch.image == np.stack([given[i].image for i in order])).all() and batch.image.dtype == np.uint8
    assert (batch.mask == np.stack([given[i].mask for i in order])).all()
    reader.close()


@each_format
def test_keys_can_be_paths_of_pictures(name: str, tmp_path: Path) -> None:
    keys = [
        "cats/frame_1.5",
        "cats/frame_1",
        "100%",
        "%2E",
        "a b",
        "café",
        "預測",
        "🐈",
        "-x",
        "__meta__",
        "v1.0/..x",
        "'q\"",
    ]
    given = [
        replace(scene, key=key) for key, scene in zip([*keys, "long/" + 60 * "a/" + 200 * "b"], scenes(13), strict=True)
    ]
    reader = FORMATS.load(name).open_split(written(name, tmp_path, given, scenes_per_shard=5), "train")
    assert reader.keys() == [scene.key for scene in given]
    assert all(same(reader.scene(index), scene) for index, scene in enumerate(given))
    reader.close()


@each_format
def test_callers_can_change_their_list_of_keys(name: str, tmp_path: Path) -> None:
    reader = FORMATS.load(name).open_split(written(name, tmp_path, scenes(2)), "train")
    reader.keys().clear()
    assert len(reader) == len(reader.keys()) == 2
    reader.close()


@each_format
def test_the_same_scenes_give_the_same_bytes(name: str, tmp_path: Path) -> None:
    def digests(directory: Path) -> dict[str, str]:
        return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in directory.iterdir()}

    first, second = (written(name, tmp_path / folder, scenes(5)) for folder in ("first", "second"))
    assert digests(first) == digests(second) != {}


@each_format
def test_the_error_for_a_damaged_file_names_it(name: str, tmp_path: Path) -> None:
    directory = written(name, tmp_path, scenes(3))
    for path in directory.iterdir():
        path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(CorruptDataError, match=str(tmp_path)):
        FORMATS.load(name).open_split(directory, "train").batch([0])


@each_format
def test_a_split_of_several_shards_is_read_as_one(name: str, tmp_path: Path) -> None:
    given = scenes(8)
    reader = FORMATS.load(name).open_split(written(name, tmp_path, given, scenes_per_shard=3), "train")
    assert len(list(tmp_path.glob("train-0*"))) == 3 and reader.keys() == [scene.key for scene in given]
    assert all(same(reader.scene(i), scene) for i, scene in enumerate(given))
    order = [7, 0, 3, 3, 2, 6]
    batch = reader.batch(order)
    assert batch.keys == tuple(given[i].key for i in order)
    assert (batch.image == np.stack([given[i].image for i in order])).all()
    assert (batch.mask == np.stack([given[i].mask for i in order])).all()
    reader.close()


@each_format
def test_finishing_a_split_twice_changes_nothing(name: str, tmp_path: Path) -> None:
    plugin = FORMATS.load(name)
    directory = written(name, tmp_path, scenes(5))
    before = {path.name: path.read_bytes() for path in directory.iterdir()}
    plugin.finish(directory, "train", [5], plugin.Config())
    assert {path.name: path.read_bytes() for path in directory.iterdir()} == before


def test_every_hdf5_reader_sees_the_shards_as_one_file(tmp_path: Path) -> None:
    import h5py

    given = scenes(5)
    written("hdf5", tmp_path, given, scenes_per_shard=2)
    with h5py.File(tmp_path / "train.h5") as file:
        assert (file["image"][:] == np.stack([scene.image for scene in given])).all()
        assert (file["factors/shape"][:] == np.stack([scene.factors["shape"] for scene in given])).all()
        assert [key.decode() for key in file["key"][:]] == [scene.key for scene in given]


def test_a_shard_outside_the_folder_is_refused(tmp_path: Path) -> None:
    import h5py

    written("hdf5", tmp_path, scenes(5), scenes_per_shard=2)
    with h5py.File(tmp_path / "train.h5", "a") as file:
        file.attrs["shards"] = ["../elsewhere.h5"]
    with pytest.raises(CorruptDataError, match="is not in the same folder"):
        FORMATS.load("hdf5").open_split(tmp_path, "train")


@pytest.mark.parametrize("codec", ["png", "webp-lossless"])
def test_lossless_codecs_preserve_every_pixel(codec: str, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    given = Scene("k", noise, noise[..., 0] % 7)
    directory = written("webdataset", tmp_path, [given], image_codec=codec)
    assert same(FORMATS.load("webdataset").open_split(directory, "train").scene(0), given)


def test_jpeg_images_are_similar_and_masks_are_exact(tmp_path: Path) -> None:
    y, x = np.mgrid[:64, :64]
    smooth = np.stack([2 * x, 2 * y, x + y], -1).astype(np.uint8)
    given = Scene("k", smooth, ((x > 20) & (y > 9)).astype(np.uint8))
    directory = written("webdataset", tmp_path, [given], image_codec="jpeg")
    read = FORMATS.load("webdataset").open_split(directory, "train").scene(0)
    assert np.abs(read.image.astype(int) - smooth).mean() < 1 and (read.mask == given.mask).all()


def test_blosc_preserves_every_pixel(tmp_path: Path) -> None:
    pytest.importorskip("hdf5plugin")
    given = scenes(4)
    reader = FORMATS.load("hdf5").open_split(written("hdf5", tmp_path, given, compression="blosc"), "train")
    assert all(same(reader.scene(i), scene) for i, scene in enumerate(given))


def test_hdf5_has_the_documented_layout(tmp_path: Path) -> None:
    import h5py

    written("hdf5", tmp_path, scenes(4))
    with h5py.File(tmp_path / "train.h5") as file:
        assert file["image"].shape == (4, 14, 14, 3) and file["image"].dtype == np.uint8
        assert file["mask"].shape == (4, 14, 14) and file["mask"].dtype == np.uint8
        assert file["factors/color"].shape == (4, 4, 3) and file["key"][0] == b"train-00000000"


def test_gzip_and_contiguous_hdf5_contain_the_same_scenes(tmp_path: Path) -> None:
    plugin = FORMATS.load("hdf5")
    plain = plugin.open_split(written("hdf5", tmp_path / "plain", scenes(4)), "train")
    small = plugin.open_split(written("hdf5", tmp_path / "gzip", scenes(4), compression="gzip"), "train")
    assert (plain.batch([3, 1]).image == small.batch([3, 1]).image).all()
    assert same(plain.scene(2), small.scene(2))


@pytest.mark.slow
def test_plain_webdataset_reads_the_shards(tmp_path: Path) -> None:
    import webdataset

    given = scenes(7)
    directory = written("webdataset", tmp_path, given, scenes_per_shard=3)
    shards = sorted(str(path) for path in directory.glob("train-*.tar"))
    assert [Path(shard).name for shard in shards] == [f"train-{i:06d}.tar" for i in range(3)]
    read = list(webdataset.WebDataset(shards, shardshuffle=False).decode("pil"))
    assert [sample["__key__"] for sample in read] == [scene.key for scene in given]
    for sample, scene in zip(read, given, strict=True):
        assert (np.array(sample["image.png"]) == scene.image).all()
        # webdataset's own decoder makes every picture RGB; the three channels are the entity index.
        assert (np.array(sample["mask.png"]) == scene.mask[..., None]).all()
        assert sample["meta.json"]["factors"]["shape"]["values"] == scene.factors["shape"].tolist()


def test_plain_webdataset_reads_every_sample_whatever_its_key(tmp_path: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    given = [
        replace(scene, key=key) for key, scene in zip(("a/frame_1.5", "__b__/x", "..c", "預測"), scenes(4), strict=True)
    ]
    written("webdataset", tmp_path, given)
    found = list(webdataset.WebDataset(str(tmp_path / "train-000000.tar"), shardshuffle=False))
    assert [unquote(sample["__key__"]) for sample in found] == [scene.key for scene in given]
    assert all({"image.png", "mask.png", "meta.json"} <= sample.keys() for sample in found)
