from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import Fake
from fakes import multi_object_datasets as fakes
from fakes._reading import expected
from unit.stages.artifact_builders import store_scenes

from iodine_kit.artifacts.dataset import open_split
from iodine_kit.datasets import cater, multi_dsprites, tetrominoes
from iodine_kit.errors import CountError, ResumeError, SchemaError, StorageError
from iodine_kit.layouts import multi_object_datasets as layout
from iodine_kit.progress import Silent
from iodine_kit.records import DatasetInfo, Scene
from iodine_kit.runner import Context, obtain
from iodine_kit.stages.export import export
from iodine_kit.stages.prepare import plan
from iodine_kit.store import Artifact, Store
from iodine_kit.tfrecord import read_records


def prepare(root: Path, dataset: str, preprocess: dict[str, Any] | None = None, **config: Any) -> Artifact:
    """``config`` is the ``[prepare]`` table; its keys ``of_…`` are the ``[dataset]`` table."""
    own = {name.removeprefix("of_"): config.pop(name) for name in list(config) if name.startswith("of_")}
    tables = {"prepare": {"dataset": dataset, **config}, "dataset": own, "preprocess": preprocess or {}}
    store = Store(root / "store")
    return obtain(plan(tables, {}, Context(store)), Context(store))


def stored(artifact: Artifact, split: str) -> list[Scene]:
    reader = open_split(artifact, split)
    return [reader.scene(index) for index in range(len(reader))]


def read_back(path: Path, dataset: str, **config: Any) -> list[Scene]:
    """Read a file with the layout of the published files."""
    target = expected(Fake(dataset, config, path, []))
    items = layout.items([path], target, layout.Config())
    return [scene for item in items for scene in layout.scenes(item, "key", target, layout.Config())]


def assert_same(found: list[Scene], truth: list[Scene]) -> None:
    assert len(found) == len(truth) > 0
    for one, other in zip(found, truth, strict=True):
        np.testing.assert_array_equal(one.image, other.image)
        np.testing.assert_array_equal(one.mask, other.mask)
        assert one.factors.keys() == other.factors.keys()
        for name, values in one.factors.items():
            np.testing.assert_array_equal(values, other.factors[name], err_msg=name, strict=True)


def fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """The length-delimited fields of a protobuf message, parsed according to the specification."""
    at = 0
    while at < len(message):
        number, size, shift = message[at] >> 3, 0, 0
        assert message[at] & 7 == 2
        at += 1
        while True:
            size |= (message[at] & 127) << shift
            at, shift = at + 1, shift + 7
            if message[at - 1] < 128:
                break
        yield number, message[at : at + size]
        at += size


def features(path: Path) -> list[dict[bytes, bytes]]:
    """The encoded features of every record, by name."""
    found = []
    for _, _, record in read_records(path):
        ((_, content),) = fields(record)
        entries = [dict(fields(entry)) for _, entry in fields(content)]
        found.append({entry[1]: entry[2] for entry in entries})
    return found


def test_exported_tetrominoes_are_read_back_unchanged(tmp_path: Path) -> None:
    artifact = prepare(tmp_path, "tetrominoes", generate=20)
    written = export(artifact, tmp_path / "out" / "deep", Silent())
    splits = artifact.facts["splits"]
    assert {path.name: count for path, count in written.items()} == {
        f"tetrominoes_{split}.tfrecords": count for split, count in splits.items()
    }
    for path, split in zip(written, splits, strict=True):
        assert_same(read_back(path, "tetrominoes"), stored(artifact, split))


def test_original_records_are_exported_with_identical_features(mini: Path, tmp_path: Path) -> None:
    artifact = prepare(tmp_path, "tetrominoes", source=str(mini), split={"train": 7, "test": 3})
    files = list(export(artifact, tmp_path, Silent()))
    again = [record for path in files for record in features(path)]
    assert again == features(mini) and len(again) == 10 and len(again[0]) == 7


@pytest.mark.parametrize("variant", ["binarized", "colored_on_grayscale", "colored_on_colored"])
def test_every_variant_of_multi_dsprites_is_read_back_unchanged(tmp_path: Path, variant: str) -> None:
    config = multi_dsprites.Config.model_validate({"variant": variant})
    scenes = [multi_dsprites.generate(config, np.random.default_rng(i), f"s{i}") for i in range(5)]
    artifact = store_scenes(tmp_path, {"train": scenes}, multi_dsprites.info(config), {"variant": variant})
    (path,) = export(artifact, tmp_path, Silent())
    assert_same(read_back(path, "multi-dsprites", variant=variant), scenes)
    # Unlike its siblings', this data set's masks have the entities last; binarized images have one channel.
    record = features(path)[0]
    ((_, image), (_, mask)) = (next(fields(record[name])) for name in (b"image", b"mask"))
    assert image[:2] == mask[:2] == b"\x0a\x01"
    assert len(image) == 3 * 64 * 64 * (1 if variant == "binarized" else 3)
    one_hot = np.frombuffer(mask, np.uint8)[2::3].reshape(64, 64, multi_dsprites.info(config).entities)
    np.testing.assert_array_equal(one_hot, 255 * np.eye(one_hot.shape[-1], dtype=int)[scenes[0].mask])


@pytest.mark.parametrize(
    "variant",
    [
        {"dataset": "clevr", "scenes": 2},
        {"dataset": "multi-dsprites", "variant": "binarized"},
        {"dataset": "objects-room", "part": "six_objects"},
        {"dataset": "cater", "part": "train", "scenes": 2},
    ],
    ids=lambda variant: variant["dataset"],
)
def test_published_records_are_exported_with_identical_features(tmp_path: Path, variant: dict[str, Any]) -> None:
    fake = fakes.make(tmp_path, **variant)
    count = 2 if fake.dataset == "cater" else len(fake.truth)
    config: dict[str, Any] = {f"of_{name}": value for name, value in fake.config.items()}
    artifact = prepare(
        tmp_path, fake.dataset, {"crop": "none"}, source=str(fake.source), split={"train": count}, **config
    )
    (path,) = export(artifact, tmp_path / "out", Silent())
    assert features(path) == [record for file in fake.files() for record in features(file)]


def test_a_video_with_missing_frames_is_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    factors = {"camera_matrix": np.eye(4, dtype=np.float32), "object_positions": np.zeros((11, 3), np.float32)}
    image, mask = rng.integers(0, 256, (64, 64, 3)).astype(np.uint8), np.zeros((64, 64), np.uint8)
    scenes = [Scene(f"cater-00000000-{i:02d}", image, mask, factors) for i in range(33) if i != 20]
    artifact = store_scenes(tmp_path, {"train": scenes}, cater.info(cater.Config()))
    with pytest.raises(SchemaError, match="32 stored frames instead of all 33 in order"):
        export(artifact, tmp_path / "out", Silent())
    assert list((tmp_path / "out").iterdir()) == []


def test_the_same_data_set_gives_the_same_bytes_in_every_compression(tmp_path: Path) -> None:
    artifact = prepare(tmp_path, "tetrominoes", generate=6)
    found = {}
    for compression in ("gzip", "zlib", "none"):
        for turn in ("a", "b"):
            (path,) = export(
                artifact, tmp_path / turn, Silent(), splits=["train"], compression=compression, overwrite=True
            )
            found[compression, turn] = path.read_bytes()
        assert found[compression, "a"] == found[compression, "b"]
    plain = found["none", "a"]
    assert gzip.decompress(found["gzip", "a"]) == zlib.decompress(found["zlib", "a"]) == plain
    assert found["gzip", "a"][4:8] == bytes(4)  # the header's time


def test_existing_files_are_replaced_on_request_only(tmp_path: Path) -> None:
    artifact = prepare(tmp_path, "tetrominoes", generate=10)
    there = tmp_path / "out" / "tetrominoes_val.tfrecords"
    there.parent.mkdir()
    there.write_text("mine")
    with pytest.raises(ResumeError, match=r"tetrominoes_val.tfrecords: exists already; replace it with --overwrite"):
        export(artifact, there.parent, Silent())
    assert [path.name for path in there.parent.iterdir()] == [there.name] and there.read_text() == "mine"
    export(artifact, there.parent, Silent(), splits=["train"])
    export(artifact, there.parent, Silent(), overwrite=True)
    assert len(read_back(there, "tetrominoes")) == 1


def test_a_failed_export_leaves_no_incomplete_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from iodine_kit.stages import export as stage

    def full(path: Path, payloads: Iterator[bytes], compression: str) -> int:
        next(iter(payloads))
        raise StorageError("disk full")

    artifact = prepare(tmp_path, "tetrominoes", generate=10)
    monkeypatch.setattr(stage, "write_records", full)
    with pytest.raises(StorageError):
        stage.export(artifact, tmp_path / "out", Silent())
    assert list((tmp_path / "out").iterdir()) == []


def test_scenes_of_another_size_are_refused_with_advice(tmp_path: Path) -> None:
    fake = fakes.make(tmp_path, dataset="clevr", scenes=1)
    cropped = prepare(tmp_path, "clevr", source=str(fake.source), split={"train": 1})
    with pytest.raises(SchemaError, match=r"128×128, .* 240×320: prepare it with --set preprocess.crop=none"):
        export(cropped, tmp_path / "out", Silent())
    small = prepare(tmp_path, "tetrominoes", generate=3, of_cell=2)
    with pytest.raises(SchemaError, match=r"images are 14×14, .* 35×35: only scenes of that size"):
        export(small, tmp_path / "out", Silent())
    assert not (tmp_path / "out").exists()


def test_factors_of_another_shape_are_refused(tmp_path: Path) -> None:
    few = prepare(tmp_path, "tetrominoes", generate=3, of_pieces=2)
    with pytest.raises(SchemaError, match=r"'.*' has the shape \[3.*\], but that of the published layout has \[4"):
        export(few, tmp_path / "out", Silent())
    config = tetrominoes.Config()
    scene = tetrominoes.generate(config, np.random.default_rng(0), "s")
    bare = Scene("s", scene.image, scene.mask, {name: v for name, v in scene.factors.items() if name != "shape"})
    with pytest.raises(SchemaError, match="lacks the factors shape"):
        export(store_scenes(tmp_path / "bare", {"train": [bare]}, tetrominoes.info(config)), tmp_path / "out", Silent())


def test_a_mask_or_a_number_that_a_record_cannot_contain_is_refused(tmp_path: Path) -> None:
    config = tetrominoes.Config()
    scene = tetrominoes.generate(config, np.random.default_rng(0), "s")
    mask = scene.mask.copy()
    mask[0, 0] = 4
    crowded = store_scenes(
        tmp_path, {"train": [Scene("s", scene.image, mask, scene.factors)]}, tetrominoes.info(config)
    )
    with pytest.raises(SchemaError, match="its mask has entity 4, but a record has at most 4"):
        export(crowded, tmp_path / "out", Silent())
    binarized = multi_dsprites.Config(variant="binarized")
    sprites = multi_dsprites.generate(binarized, np.random.default_rng(0), "s")
    image = sprites.image.copy()
    image[3, 3, 0] = 7
    coloured = Scene("s", image, sprites.mask, sprites.factors)
    artifact = store_scenes(tmp_path, {"train": [coloured]}, multi_dsprites.info(binarized), {"variant": "binarized"})
    with pytest.raises(SchemaError, match="is coloured, but the published images have one channel"):
        export(artifact, tmp_path / "out", Silent())


def test_data_sets_without_published_tfrecords_are_refused(tmp_path: Path) -> None:
    scene = Scene("s", np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), np.uint8))
    artifact = store_scenes(tmp_path, {"train": [scene]}, DatasetInfo("folder", 4, 4, 1))
    with pytest.raises(SchemaError, match="folder was not published as TFRecord files; only cater, clevr, "):
        export(artifact, tmp_path / "out", Silent())


def test_an_unknown_split_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    artifact = prepare(tmp_path, "tetrominoes", generate=10)
    with pytest.raises(CountError, match="no split 'tests'; did you mean 'test'"):
        export(artifact, tmp_path / "out", Silent(), splits=["train", "tests"])
    assert not (tmp_path / "out").exists()


def test_masks_that_do_not_exist_are_not_exported(tmp_path: Path) -> None:
    scene = tetrominoes.generate(tetrominoes.Config(), np.random.default_rng(0), "a")
    bare = [replace(scene, mask=np.zeros_like(scene.mask), has_mask=False)]
    dataset = store_scenes(tmp_path, {"train": [scene], "test": bare}, tetrominoes.info(tetrominoes.Config()))
    with pytest.raises(SchemaError, match=r"has a mask for every entity, but split 'test' of .*: export another split"):
        export(dataset, tmp_path / "out", Silent())
    assert not (tmp_path / "out").exists()
    (written,) = export(dataset, tmp_path / "out", Silent(), splits=["train"])
    assert written.name == "tetrominoes_train.tfrecords"
