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
from iodine_kit.untrusted import json_files

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
    monkeypatch.setattr(json_files, "_CHUNK", chunk)
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
        patch.setattr(json_files, "_CHUNK", chunk)
        assert list(json_files.elements(path, "scenes")) == json.loads(path.read_text("utf-8"))["scenes"]


def test_a_byte_order_mark_changes_nothing(root: Path, tmp_path: Path) -> None:
    whole = items(root)
    for path in (root / "scenes").iterdir():
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert items(root) == whole
    marked = tmp_path / "marked.json"
    marked.write_text('{"é": 1}', "utf-8-sig")
    assert json_files.document(marked) == {"é": 1}


def test_every_truncation_is_refused(root: Path) -> None:
    path = root / "scenes" / "CLEVR_val_scenes.json"
    text = path.read_text("utf-8")
    for length in range(len(text)):
        path.write_text(text[:length], "utf-8")
        with pytest.raises(CorruptDataError, match=r"CLEVR_val_scenes\.json: not valid JSON from character \d+ on"):
            items(root)


def test_a_long_invalid_file_is_not_read_to_its_end(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_files, "_CHUNK", 100)
    monkeypatch.setattr(json_files, "_LONGEST", 1000)
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
    with pytest.raises(SchemaError, match=r"CLEVR_val_000000\.png: image has 240×320 pixels; the first .* 320×480"):
        scene(items(root)[2])


def test_missing_files_are_reported(root: Path) -> None:
    (root / "scenes" / "CLEVR_train_scenes.json").unlink()
    with pytest.raises(SourceError, match=r"CLEVR_train_scenes\.json: no such file"):
        items(root)
    with pytest.raises(SourceError, match=r"has no images/train"):
        items(root / "scenes")


# Own scenes, and CoGenT


def rendered(root: Path, names: list[str], size: tuple[int, int] = (320, 240)) -> list[dict[str, Any]]:
    """Images directly in ``images``, as the generator writes them, and their entries."""
    (root / "images").mkdir(parents=True)
    (root / "scenes").mkdir()
    for name in names:
        Image.new("RGBA", size, (90, 20, 30, 255)).save(root / "images" / f"{name}.png")
    return [{"image_filename": f"{name}.png", "split": "new", "objects": [GREEN]} for name in names]


def test_the_generator_s_scenes_are_read_from_one_file_or_from_many(tmp_path: Path) -> None:
    entries = rendered(tmp_path, ["CLEVR_new_000000", "CLEVR_new_000001"])
    (tmp_path / "CLEVR_scenes.json").write_text(json.dumps({"info": {}, "scenes": entries}))
    from_one = items(tmp_path)
    (tmp_path / "CLEVR_scenes.json").unlink()
    for one in entries:
        (tmp_path / "scenes" / one["image_filename"].replace(".png", ".json")).write_text(json.dumps(one))
    for path in (tmp_path, tmp_path / "images"):
        assert clevr_v1.recognises(path)
        found = items(path)
        assert [(item.key, item.split) for item in found] == [("CLEVR_new_000000", ""), ("CLEVR_new_000001", "")]
        assert [scene(item).factors["color"][1] for item in found] == [3, 3]
        assert scene(found[0]).image.shape == (240, 320, 3)
        assert len(clevr_v1.files([path], CONFIG)) == 4
    assert [item.payload[:2] for item in from_one] == [item.payload[:2] for item in found]


def test_a_file_of_all_scenes_serves_every_split(tmp_path: Path) -> None:
    entries = rendered(tmp_path, ["CLEVR_hard_000000", "CLEVR_easy_000000", "CLEVR_easy_000001"])
    (tmp_path / "CLEVR_scenes.json").write_text(json.dumps({"scenes": entries}))
    assert [(item.key, item.split) for item in items(tmp_path)] == [
        ("CLEVR_easy_000000", "easy"),
        ("CLEVR_easy_000001", "easy"),
        ("CLEVR_hard_000000", "hard"),
    ]


def test_the_splits_of_cogent_have_their_published_names(tmp_path: Path) -> None:
    root = tmp_path / "CLEVR_CoGenT_v1.0"
    for split in ("valB", "testA", "trainA", "valA", "testB"):
        save_image(root, split, 0)
        if not split.startswith("test"):
            save_scenes(root, split, [entry(split, 0, [GREEN])])
    assert [item.split for item in items(tmp_path)] == ["trainA", "valA", "valB", "testA", "testB"]
    assert [bool(scene(item).factors["visibility"].any()) for item in items(root)] == [True, True, True, False, False]


def test_pictures_without_scenes_are_for_the_data_set_folder(tmp_path: Path) -> None:
    rendered(tmp_path, ["CLEVR_new_000000"])
    with pytest.raises(SourceError, match=r"CLEVR_new_scenes\.json: no such file.*prepare folder --source .*images"):
        items(tmp_path)


def test_an_image_without_its_own_scene_file_is_reported(tmp_path: Path) -> None:
    entries = rendered(tmp_path, ["CLEVR_new_000000", "CLEVR_new_000001"])
    (tmp_path / "scenes" / "CLEVR_new_000000.json").write_text(json.dumps(entries[0]))
    with pytest.raises(SourceError, match=r"CLEVR_new_000001\.json: no such file"):
        items(tmp_path)
    (tmp_path / "scenes" / "CLEVR_new_000001.json").write_text(json.dumps(entries[1])[:-5])
    with pytest.raises(CorruptDataError, match=r"CLEVR_new_000001\.json: not valid JSON"):
        items(tmp_path)
