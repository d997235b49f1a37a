"""Opening prepared data from Python."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch.utils.data import DataLoader
from unit.api.conftest import square_scenes
from unit.stages.artifact_builders import store_scenes

import iodine_kit as ik
from iodine_kit.records import DatasetInfo
from iodine_kit.store import Artifact, Store


def test_a_data_set_is_opened_by_artifact_path_name_directory_and_key(
    squares: Artifact, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = [squares.path.name, f"dataset/{squares.path.name}", squares.manifest.key[:6], "squares"]
    for place in (squares, squares.path, str(squares.path)):
        assert ik.load_dataset(place).artifact.path == squares.path
    for name in named:
        assert ik.load_dataset(name, store=store).artifact.path == squares.path
    monkeypatch.setenv("IODINE_KIT_STORE", str(store))
    monkeypatch.chdir(squares.path.parent)
    assert ik.load_dataset("squares").artifact.path == squares.path
    assert len(ik.load_dataset(squares.path.name)) == 7


def test_a_name_means_the_most_recent_data_set_of_that_name(tmp_path: Path) -> None:
    older, newer = (
        store_scenes(tmp_path, {"test": square_scenes(count)}, DatasetInfo("squares", 0, 0, 4), {"count": count})
        for count in (1, 2)
    )
    store_scenes(tmp_path, {"test": square_scenes(3)}, DatasetInfo("others", 0, 0, 4))
    assert len(ik.load_dataset("squares", store=tmp_path)) == 2
    Store(tmp_path).touch(older)
    assert len(ik.load_dataset("squares", store=tmp_path)) == 1
    assert newer.path != older.path


def test_it_is_a_sequence_of_the_stored_scenes(squares: Artifact) -> None:
    data, scenes = ik.load_dataset(squares, "train"), square_scenes(12)
    assert len(data) == 12 and data.keys() == [scene.key for scene in scenes]
    assert (data.info.dataset, data.info.height, data.info.background) == ("squares", 6, (0, 3))
    for mine, scene in zip(data, scenes, strict=True):
        assert mine.key == scene.key and (mine.image == scene.image).all() and (mine.mask == scene.mask).all()
        assert (mine.factors["size"] == scene.factors["size"]).all()
    assert data[-1].key == "s11" and data[2:4].keys == ("s2", "s3") and data[::-4].keys == ("s11", "s7", "s3")
    assert data.batch([5, 1]).keys == ("s5", "s1")
    assert data.batch([-1, 0]).keys == ("s11", "s0") and data.batch([]).image.shape == (0, 6, 6, 3)
    for index in (12, -13):
        with pytest.raises(IndexError, match=f"^indices: there is no scene {index}: split 'train' has 12 scenes"):
            data[index]
        with pytest.raises(IndexError, match=f"^indices: there is no scene {index}: "):
            data.batch([0, index])
    for wrong in ([0.5], [True, False], [[0]]):
        with pytest.raises(ValueError, match=r"^indices: pass a sequence of integers"):
            data.batch(wrong)  # type: ignore[arg-type]


def test_batches_hold_every_scene_once_in_order_and_know_the_background(squares: Artifact) -> None:
    data = ik.load_dataset(squares, "train")
    batches = list(data.batches(5))
    assert [len(batch) for batch in batches] == [5, 5, 2]
    assert [key for batch in batches for key in batch.keys] == data.keys()
    assert batches[0].background == (0, 3) and batches[0].image.shape == (5, 6, 6, 3)
    with pytest.raises(ValueError, match="size: it must be at least 1"):
        data.batches(0)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_data_loader_of_pytorch_reads_it_in_any_number_of_processes(squares: Artifact, workers: int) -> None:
    data = ik.load_dataset(squares, "train")
    assert data[0].key == "s0"  # opened here, before the processes start
    loader: Any = DataLoader(data, batch_size=5, collate_fn=ik.SceneBatch.of, num_workers=workers)  # type: ignore[arg-type]
    batches = list(loader)
    assert [key for batch in batches for key in batch.keys] == data.keys()
    np.testing.assert_array_equal(np.concatenate([batch.image for batch in batches]), data[:].image)


def test_its_files_are_open_only_inside_a_with_block(squares: Artifact) -> None:
    with ik.load_dataset(squares, "train") as data:
        reader = data._reader
        assert data[0].key == "s0"
    with pytest.raises(ValueError, match="closed"):
        reader.scene(0)
    assert data[1].key == "s1"  # opened again
    data.close()


def test_a_batch_is_a_sequence_of_scenes(squares: Artifact) -> None:
    batch = ik.load_dataset(squares, "train")[:3]
    scenes = square_scenes(3)
    assert isinstance(batch[0], ik.Scene) and batch[-1].key == "s2" and isinstance(batch[1:], ik.SceneBatch)
    assert [scene.key for scene in batch] == ["s0", "s1", "s2"]
    for mine, scene in zip(batch, scenes, strict=True):
        np.testing.assert_array_equal(mine.image, scene.image)
        np.testing.assert_array_equal(mine.mask, scene.mask)
    assert ik.SceneBatch.of(list(batch), background=3).background == (3,)
    with pytest.raises(IndexError):
        batch[3]


def test_scenes_of_two_sizes_make_no_batch() -> None:
    scenes = [ik.Scene(f"s{side}", np.zeros((side, 5, 3), np.uint8), np.zeros((side, 5), np.uint8)) for side in (4, 7)]
    with pytest.raises(ValueError, match=r"^scenes: 's4' has 4×5 pixels, and 's7' 7×5: resize them"):
        ik.SceneBatch.of(scenes)


def test_it_can_be_sent_to_another_process(squares: Artifact) -> None:
    data = ik.load_dataset(squares)
    assert data[0].key == "s12" and pickle.loads(pickle.dumps(data))[0].key == "s12"


def test_what_is_missing_is_named_with_the_argument(squares: Artifact, store: Path, trained: Artifact) -> None:
    with pytest.raises(ValueError, match=r"^split: .* has no split 'valid'; known: test, train"):
        ik.load_dataset(squares, "valid")
    with pytest.raises(ValueError, match=r"^dataset: squarez: no such artifact.*; did you mean 'squares'"):
        ik.load_dataset("squarez", store=store)
    with pytest.raises(ValueError, match=r"^dataset: .* has kind 'run', but 'dataset' is required"):
        ik.load_dataset(trained)


def test_a_damaged_data_set_is_no_mistake_in_an_argument(tmp_path: Path) -> None:
    artifact = store_scenes(tmp_path, {"test": square_scenes(1)}, DatasetInfo("squares", 0, 0, 4))
    with (artifact.path / "test.h5").open("ab") as file:
        file.write(b"x")
    with pytest.raises(ik.IodineKitError, match="bytes, not"):
        ik.load_dataset(artifact)


def test_a_notebook_shows_scenes_beside_their_masks(squares: Artifact) -> None:
    data = ik.load_dataset(squares, "train")
    assert repr(data) == "Dataset squares, split 'train': 12 scenes, 6×6 pixels"
    html = data[:3]._repr_html_()
    assert html.startswith('<figure><img src="data:image/png;base64,iVBOR') and "SceneBatch of 3 scenes" in html
    assert "SceneBatch of 12 scenes" in (whole := data[:]._repr_html_()) and "are shown" not in whole
    assert "Dataset squares" in data._repr_html_() and data[:0]._repr_html_() == "SceneBatch of 0 scenes, 6×6 pixels"


def test_a_notebook_reads_only_the_scenes_that_it_shows_and_escapes_names(tmp_path: Path) -> None:
    artifact = store_scenes(tmp_path, {"<b>": square_scenes(20)}, DatasetInfo("squares", 0, 0, 4))
    data, read = ik.load_dataset(artifact, "<b>"), list[int]()
    reader, take = data._reader, data._reader.batch
    reader.batch = lambda places: (read.extend(places), take(places))[1]  # type: ignore[method-assign]
    html = data._repr_html_()
    assert read == list(range(12)) and "20 scenes, 6×6 pixels; the first 12 are shown: image and true mask" in html
    assert "<b>" not in html and "&lt;b&gt;" in html


def test_data_scenes_and_batches_say_whether_there_are_masks(tmp_path: Path) -> None:
    bare = [replace(scene, mask=np.zeros_like(scene.mask), has_mask=False) for scene in square_scenes(4)]
    artifact = store_scenes(
        tmp_path, {"train": square_scenes(4), "test": bare}, DatasetInfo("squares", 0, 0, 4, (0, 3))
    )
    for split, masked in (("train", True), ("test", False)):
        data = ik.load_dataset(artifact, split=split)
        batch = data[1:3]
        scenes = [data[0], next(iter(data)), batch[0], next(iter(batch))]
        assert [scene.has_mask for scene in scenes] == [masked] * 4
        batches = [batch, batch[:1], next(data.batches(2)), ik.SceneBatch.of([data[0], data[3]])]
        assert [one.has_masks for one in batches] == [masked] * 4 and data.has_masks is masked
        assert ("no masks" in repr(data)) is not masked and ("true mask" in data._repr_html_()) is masked


def test_nothing_is_evaluated_against_masks_that_do_not_exist(tmp_path: Path, trained: Artifact) -> None:
    bare = [replace(scene, mask=np.zeros_like(scene.mask), has_mask=False) for scene in square_scenes(4)]
    artifact = store_scenes(tmp_path, {"test": bare}, DatasetInfo("squares", 0, 0, 4, (0, 3)))
    data, predicted = ik.load_dataset(artifact), np.zeros((4, 6, 6), np.uint8)
    for truth in (data, data[:4]):
        with pytest.raises(ValueError, match="metrics: 'ap' needs true masks, but truth has no masks"):
            ik.evaluate(truth, predicted, "ap")
        with pytest.raises(ValueError, match="nothing can be scored: truth has no masks"):
            ik.evaluate(truth, predicted, "all")
    segmentation = ik.load_model(trained, device="cpu").segment(data[:4].image)
    evaluation = ik.evaluate(data, segmentation, "all")
    assert set(evaluation.metrics) == {"elbo", "nll", "kl", "mse", "psnr", "ssim"} and evaluation.facts.unmasked
    assert ik.evaluate(data[:4].mask, predicted, "ap").metrics["ap"].mean == 1  # masks that the caller gives are masks
