"""CLEVRTex: palette indices are entities, splits follow the numbers, and other variants are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from iodine_kit.datasets import clevrtex as dataset
from iodine_kit.errors import CorruptDataError, SchemaError, SourceError
from iodine_kit.layouts import Expected, Item, clevrtex
from iodine_kit.records import Bytes, Scene

CONFIG = clevrtex.Config()


def expected(variant: dataset.Variant = "full") -> Expected:
    return Expected("clevrtex", dataset.info(dataset.Config(variant=variant)), {}, {}, {"variant": variant})


def index_mask(highest: int = 10) -> Bytes:
    return (np.arange(240 * 320) % (highest + 1)).astype(np.uint8).reshape(240, 320)


def save(folder: Path, number: int, variant: str = "full", mask: Bytes | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"CLEVRTEX_{variant}_{number:06d}.png"
    Image.new("RGBA", (320, 240), (number, 1, 2, 255)).save(path, compress_level=1)
    flat = Image.fromarray(index_mask() if mask is None else mask)
    flat.putpalette([255 - value // 3 for value in range(768)])
    flat.save(path.with_name(f"{path.stem}_flat.png"))
    for other in ("depth_0001.png", "normal_0001.png"):
        path.with_name(f"{path.stem}_{other}").write_bytes(b"not read")
    return path


def items(folder: Path, variant: dataset.Variant = "full") -> list[Item]:
    return list(clevrtex.items([folder], expected(variant), CONFIG))


def scene(item: Item) -> Scene:
    (only,) = clevrtex.scenes(item, "key", expected(), CONFIG)
    return only


def test_a_mask_is_the_indices_of_the_palette(tmp_path: Path) -> None:
    save(tmp_path / "0", 0)
    decoded = scene(items(tmp_path)[0])
    assert (decoded.image == (0, 1, 2)).all() and decoded.factors == {}
    assert np.array_equal(decoded.mask, index_mask())


def test_splits_follow_the_numbers_across_folders(tmp_path: Path) -> None:
    for number in range(20):
        save(tmp_path / "full" / str(1 - number // 10), number)
    assert clevrtex.recognises(tmp_path)
    listed = items(tmp_path)
    assert [scene(item).image[0, 0, 0] for item in listed[:12]] == list(range(12))
    assert [item.split for item in listed] == ["test"] * 2 + ["val"] * 2 + ["train"] * 16
    assert len(clevrtex.files([tmp_path], CONFIG)) == 40


def test_all_images_of_outd_are_test(tmp_path: Path) -> None:
    for number in range(3):
        save(tmp_path, number, "outd")
    assert {item.split for item in items(tmp_path, "outd")} == {"test"}


def test_another_variant_is_named(tmp_path: Path) -> None:
    save(tmp_path, 0)
    save(tmp_path, 1, "camo")
    with pytest.raises(SchemaError, match="variant 'camo', not of 'full'"):
        items(tmp_path)
    with pytest.raises(SchemaError, match="variant 'camo', not of 'outd'"):
        items(tmp_path, "outd")


def test_two_images_with_one_number_are_refused(tmp_path: Path) -> None:
    save(tmp_path / "a", 0)
    save(tmp_path / "b", 0)
    with pytest.raises(SchemaError, match=r"b/CLEVRTEX_full_000000\.png: .*a/CLEVRTEX_full_000000\.png"):
        items(tmp_path)


@pytest.mark.parametrize("lost", ["CLEVRTEX_full_000001.png", "CLEVRTEX_full_000001_flat.png"])
def test_a_missing_image_or_mask_is_reported(tmp_path: Path, lost: str) -> None:
    for number in range(3):
        save(tmp_path, number)
    (tmp_path / lost).unlink()
    with pytest.raises(SourceError, match=f"{lost}: no such file"):
        clevrtex.files([tmp_path], CONFIG)


def test_a_gap_in_the_numbers_is_refused(tmp_path: Path) -> None:
    save(tmp_path, 0)
    save(tmp_path, 2)
    with pytest.raises(SourceError, match="image 000001 is missing"):
        items(tmp_path)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    assert not clevrtex.recognises(tmp_path)
    with pytest.raises(SourceError, match="has no file CLEVRTEX"):
        items(tmp_path)
    (tmp_path / "CLEVRTEX_full_000000_depth_0001.png").touch()
    with pytest.raises(SourceError, match="has no images such as CLEVRTEX_full_000000"):
        items(tmp_path)


def test_damaged_pictures_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path, 0, mask=index_mask(11))
    with pytest.raises(SchemaError, match=r"_flat\.png: mask has indices 0 to 11"):
        scene(items(tmp_path)[0])
    save(tmp_path, 0, mask=index_mask()[:100])
    with pytest.raises(SchemaError, match=r"_flat\.png: has 100×320 pixels; CLEVRTex has 240×320"):
        scene(items(tmp_path)[0])
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(CorruptDataError, match=r"CLEVRTEX_full_000000\.png"):
        scene(items(tmp_path)[0])
