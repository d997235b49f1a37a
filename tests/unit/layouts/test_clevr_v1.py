"""CLEVR v1.0: words become published ids, the scene file is read in chunks, and missing parts are reported."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from iodine_kit.datasets import clevr
from iodine_kit.errors import CorruptDataError, SchemaError, SourceError
from iodine_kit.layouts import Expected, Item, clevr_v1
from iodine_kit.records import Scene

EXPECTED = Expected("clevr", clevr.info(clevr.Config()), clevr.SCHEMAS["clevr"], {})
CONFIG = clevr_v1.Config()
GREEN = {
    "color": "green", "size": "small", "shape": "sphere", "material": "metal", "rotation": 30.5,
    "3d_coords": [1.5, -2.0, 0.35], "pixel_coords": [240, 160, 9.75],
}  # fmt: skip
BROWN = GREEN | {"color": "brown", "size": "large", "shape": "cube", "material": "rubber"}


def entry(split: str, number: int, objects: list[dict[str, Any]]) -> dict[str, Any]:
    relations = {"left": [[1], []], "right": [[], [0]]}
    name = f"CLEVR_{split}_{number:06d}.png"
    return {"image_filename": name, "image_index": number, "objects": objects, "relationships": relations}


def save_image(root: Path, split: str, number: int, size: tuple[int, int] = (480, 320)) -> Path:
    path = root / "images" / split / f"CLEVR_{split}_{number:06d}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGBA", size, (number, 20, 30, 255)).save(path, compress_level=1)
    return path


def save_scenes(root: Path, split: str, entries: list[Any]) -> Path:
    path = root / "scenes" / f"CLEVR_{split}_scenes.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"info": {"split": split}, "scenes": entries}), "utf-8")
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two images of train, one of val, one of test."""
    root = tmp_path / "CLEVR_v1.0"
    for split, count in (("train", 2), ("val", 1), ("test", 1)):
        for number in range(count):
            save_image(root, split, number)
    save_scenes(root, "train", [entry("train", 0, [GREEN, BROWN]), entry("train", 1, [])])
    save_scenes(root, "val", [entry("val", 0, [BROWN])])
    return root


def items(path: Path) -> list[Item]:
    clevr_v1.files([path], CONFIG)
    return list(clevr_v1.items([path], EXPECTED, CONFIG))


def scene(item: Item) -> Scene:
    (only,) = clevr_v1.scenes(item, "key", EXPECTED, CONFIG)
    return only


def test_items_have_splits_and_the_parent_folder_is_accepted(root: Path) -> None:
    assert clevr_v1.recognises(root) and clevr_v1.recognises(root.parent)
    assert [item.split for item in items(root)] == ["train", "train", "val", "test"]
    assert items(root) == items(root.parent)
    assert len(clevr_v1.files([root], CONFIG)) == 4 + 2


def test_words_become_the_ids_of_clevr_with_masks(root: Path) -> None:
    decoded = scene(items(root)[0])
    assert {name: (v.dtype, v.shape) for name, v in decoded.factors.items()} == {
        name: (np.dtype(spec.dtype), spec.shape)
        for name, spec in clevr.SCHEMAS["clevr"].items()
        if name not in ("image", "mask")
    }
    rows = {name: decoded.factors[name][:4].tolist() for name in ("color", "size", "shape", "material", "visibility")}
    assert rows == {
        "color": [0, 3, 5, 0],
        "size": [0, 2, 1, 0],
        "shape": [0, 1, 3, 0],
        "material": [0, 2, 1, 0],
        "visibility": [1, 1, 1, 0],
    }
    place = [decoded.factors[name][1] for name in ("x", "y", "z", "rotation")]
    assert place == [np.float32(value) for value in (1.5, -2, 0.35, 30.5)]
    assert decoded.factors["pixel_coords"][:3].tolist() == [[0, 0, 0], [240, 160, 9.75], [240, 160, 9.75]]


def test_images_are_rgb_and_masks_are_empty(root: Path) -> None:
    decoded = scene(items(root)[1])
    assert decoded.image.shape == (320, 480, 3) and (decoded.image == (1, 20, 30)).all()
    assert not decoded.mask.any()


def test_factors_of_the_test_split_are_zero(root: Path) -> None:
    assert not any(values.any() for values in scene(items(root)[-1]).factors.values())


# The scene file in chunks


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 64])
def test_chunks_may_end_anywhere(root: Path, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = items(root)
    monkeypatch.setattr(clevr_v1, "_CHUNK", chunk)
    assert items(root) == whole


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    before=VALUES,
    entries=st.lists(VALUES, max_size=4),
    indent=st.sampled_from([None, 0, 3]),
    ascii_only=st.booleans(),
    chunk=st.integers(1, 40),
)
def test_it_reads_the_same_as_json(
    tmp_path: Path, before: Any, entries: list[Any], indent: int | None, ascii_only: bool, chunk: int
) -> None:
    path = tmp_path / "scenes.json"
    text = json.dumps({"info": before, "scenes": entries, "more": before}, indent=indent, ensure_ascii=ascii_only)
    path.write_text(text, "utf-8", errors="replace")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clevr_v1, "_CHUNK", chunk)
        assert list(clevr_v1._entries(path)) == json.loads(path.read_text("utf-8"))["scenes"]


def test_every_truncation_is_refused(root: Path) -> None:
    path = root / "scenes" / "CLEVR_val_scenes.json"
    text = path.read_text("utf-8")
    for length in range(len(text)):
        path.write_text(text[:length], "utf-8")
        with pytest.raises(CorruptDataError, match=r"CLEVR_val_scenes\.json: not valid JSON from character \d+ on"):
            items(root)


def test_a_long_invalid_file_is_not_read_to_its_end(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clevr_v1, "_CHUNK", 100)
    monkeypatch.setattr(clevr_v1, "_LONGEST", 1000)
    path = root / "scenes" / "CLEVR_val_scenes.json"
    path.write_text('{"scenes": [{"objects": "' + "x" * 10_000 + '"}]}')
    with pytest.raises(CorruptDataError, match="from character 12 on"):
        items(root)


# Faulty sources


def test_bytes_that_are_not_text(root: Path) -> None:
    path = root / "scenes" / "CLEVR_val_scenes.json"
    path.write_bytes(b'{"info": "\xff\xfe"}')
    with pytest.raises(CorruptDataError, match=r"CLEVR_val_scenes\.json: is not UTF-8"):
        items(root)


@pytest.mark.parametrize(
    ("entries", "error", "problem"),
    [
        ([], SchemaError, r"CLEVR_val_000000\.png: has no entry in .*CLEVR_val_scenes\.json"),
        ([entry("val", 0, []), entry("val", 7, [])], SourceError, r"val_scenes\.json: lists 'CLEVR_val_000007\.png'"),
        ([entry("val", 0, []), entry("val", 0, [])], SchemaError, "lists 'CLEVR_val_000000.png' twice"),
        ([[]], SchemaError, "entry 0 has no 'image_filename'"),
    ],
)
def test_every_image_has_one_entry_and_every_entry_an_image(
    root: Path, entries: list[Any], error: type[Exception], problem: str
) -> None:
    save_scenes(root, "val", entries)
    with pytest.raises(error, match=problem):
        items(root)


def test_another_json_file_is_refused(root: Path) -> None:
    (root / "scenes" / "CLEVR_val_scenes.json").write_text('{"info": {}, "questions": []}')
    with pytest.raises(SchemaError, match="has no 'scenes'"):
        items(root)


@pytest.mark.parametrize(
    ("objects", "problem"),
    [
        ([GREEN | {"color": "pink"}], "CLEVR_val_scenes.json: object 1: .*unknown color 'pink'"),
        ([GREEN, GREEN | {"size": "none"}], "object 2"),
        ([{name: value for name, value in GREEN.items() if name != "3d_coords"}], "3d_coords"),
        ([GREEN | {"3d_coords": [1, 2]}], "object 1"),
        ([GREEN | {"rotation": "much"}], "object 1"),
        (["green"], "object 1"),
        ([GREEN] * 11, "no list of at most 10 objects"),
        (None, "no list of at most 10 objects"),
    ],
)
def test_objects_with_other_properties_are_refused(root: Path, objects: Any, problem: str) -> None:
    save_scenes(root, "val", [entry("val", 0, objects)])
    with pytest.raises(SchemaError, match=problem):
        scene(items(root)[2])


def test_another_image_size_is_refused(root: Path) -> None:
    save_image(root, "val", 0, (320, 240))
    with pytest.raises(SchemaError, match=r"CLEVR_val_000000\.png: image has 240×320 pixels; CLEVR v1\.0 has 320×480"):
        scene(items(root)[2])


def test_missing_files_are_reported(root: Path) -> None:
    (root / "scenes" / "CLEVR_train_scenes.json").unlink()
    with pytest.raises(SourceError, match=r"CLEVR_train_scenes\.json: no such file"):
        items(root)
    with pytest.raises(SourceError, match=r"has no images/train"):
        items(root / "scenes")
