"""A folder of your own images: where masks may be, what their pixels mean, and what is refused."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from iodine_kit.datasets import folder as dataset
from iodine_kit.errors import CorruptDataError, SchemaError, SourceError, StorageError
from iodine_kit.layouts import Expected, Item, folder
from iodine_kit.records import Array, Scene

EXPECTED = Expected("folder", dataset.info(dataset.Config()), {}, {})
INDEX = np.array([[0, 2, 2], [1, 0, 7]], np.uint8)


def save(path: Path, pixels: Array | None = None, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((2, 3, 3), 9, np.uint8) if pixels is None else pixels).save(path, **options)
    return path


def items(root: Path, **config: Any) -> list[Item]:
    return list(folder.items([root], EXPECTED, folder.Config(**config)))


def scenes(root: Path, **config: Any) -> list[Scene]:
    config = {"config": folder.Config(**config)}
    listed = folder.items([root], EXPECTED, **config)
    return [scene for item in listed for scene in folder.scenes(item, "key", EXPECTED, **config)]


def mask_of(root: Path, pixels: Array, **config: Any) -> list[list[int]]:
    save(root / "a.jpg")
    save(root / "a_mask.png", pixels)
    (only,) = scenes(root, **config)
    return only.mask.tolist()


# Where masks are


def test_images_without_masks(tmp_path: Path) -> None:
    for name in ("b.PNG", "a.jpg", "deep/er/c.webp", "d.bmp", "e.tiff"):
        save(tmp_path / name)
    save(tmp_path / ".trash" / "f.png")
    (tmp_path / "notes.txt").write_text("not an image")
    assert folder.recognises(tmp_path)
    listed = items(tmp_path)
    assert [Path(item.place).relative_to(tmp_path).as_posix() for item in listed] == [
        "a.jpg", "b.PNG", "d.bmp", "deep/er/c.webp", "e.tiff",
    ]  # fmt: skip
    assert {item.split for item in listed} == {""}
    assert not any(scene.mask.any() for scene in scenes(tmp_path))


@pytest.mark.parametrize(
    ("image", "mask", "source"),
    [
        ("a.b.jpg", "a.b_mask.png", "."),
        ("a.jpg", "masks/a.png", "."),
        ("images/a.jpg", "masks/a.png", "."),
        ("images/a.jpg", "masks/a_mask.tif", "."),
        ("images/a.jpg", "masks/a.png", "images"),
        ("photos/a.jpg", "masks/a.png", "photos"),
        ("images/train/a.jpg", "masks/train/a.bmp", "."),
        ("train/images/a.jpg", "train/masks/a.png", "."),
    ],
)
def test_masks_are_found(tmp_path: Path, image: str, mask: str, source: str) -> None:
    files = [save(tmp_path / image), save(tmp_path / mask, INDEX)]
    root = tmp_path / source
    (only,) = scenes(root)
    assert np.array_equal(only.mask, INDEX)
    assert folder.files([root], folder.Config()) == files
    assert not scenes(root, masks="none")[0].mask.any()


@pytest.mark.parametrize("masks", ["truth", "{}/pictures/truth", "../truth", "./x/../truth"])
def test_masks_in_a_configured_folder(tmp_path: Path, masks: str) -> None:
    root = tmp_path / "pictures"
    save(root / "a.jpg")
    save(root / masks.format(tmp_path) / "a.png", INDEX)
    save(root / "masks" / "a.png", 0 * INDEX)
    assert [scene.mask.tolist() for scene in scenes(root, masks=masks.format(tmp_path))] == [INDEX.tolist()]


def test_all_images_have_a_split_or_none_has(tmp_path: Path) -> None:
    for name in ("images/train/a.png", "images/val/a.png", "test/deep/b.png"):
        save(tmp_path / name)
    assert [item.split for item in items(tmp_path)] == ["train", "val", "test"]
    save(tmp_path / "c.png")
    with pytest.raises(
        SchemaError, match=r"c\.png: is in no folder of a split, .* 1 of 4 images .*layout\.splits=none"
    ):
        items(tmp_path)
    assert {item.split for item in items(tmp_path, splits="none")} == {""}


def test_a_lossy_mask_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "images" / "a.png")
    save(tmp_path / "masks" / "a.jpg", INDEX)
    with pytest.raises(SchemaError, match=r"a\.jpg: its compression changes the values of pixels"):
        scenes(tmp_path)


def test_published_data_sets_are_not_recognised_as_a_folder(tmp_path: Path) -> None:
    save(tmp_path / "images" / "train" / "CLEVR_train_000000.png")
    save(tmp_path / "0" / "CLEVRTEX_full_000000_flat.png")
    assert not folder.recognises(tmp_path)


# What a mask's pixels mean

RED, BLUE, BLACK, WHITE = (255, 0, 0), (0, 0, 255), (0, 0, 0), (255, 255, 255)
MANY = np.array([[(1, number // 256, number % 256) for number in range(257)]], np.uint8)
COLOURS = np.array([[BLACK, RED, RED], [BLUE, BLACK, WHITE]], np.uint8)


def test_colours_are_numbered_as_they_first_appear(tmp_path: Path) -> None:
    assert mask_of(tmp_path, COLOURS) == [[0, 1, 1], [2, 0, 3]]
    assert mask_of(tmp_path, COLOURS, background="#0000ff") == [[1, 2, 2], [0, 1, 3]]
    assert mask_of(tmp_path, COLOURS, background="#123456") == [[1, 2, 2], [3, 1, 4]]


def test_indices_are_kept_unless_they_are_black_and_white(tmp_path: Path) -> None:
    assert mask_of(tmp_path, INDEX) == INDEX.tolist()
    assert mask_of(tmp_path, INDEX.astype(np.uint16)) == INDEX.tolist()
    assert mask_of(tmp_path, INDEX > 0) == [[0, 1, 1], [1, 0, 1]]
    assert mask_of(tmp_path, 255 * (INDEX > 0).astype(np.uint8)) == [[0, 1, 1], [1, 0, 1]]
    assert mask_of(tmp_path, 255 * (INDEX > 0).astype(np.uint8), mask_values="index") == [[0, 255, 255], [255, 0, 255]]
    assert mask_of(tmp_path, INDEX, mask_values="colour") == [[0, 1, 1], [2, 0, 3]]
    assert mask_of(tmp_path, INDEX.astype(np.uint16) * 50) == [[0, 2, 2], [1, 0, 3]]


@pytest.mark.parametrize("bits", [4, 8])
def test_the_colours_of_a_palette_are_ignored(tmp_path: Path, bits: int) -> None:
    save(tmp_path / "a.png")
    mask = Image.fromarray(INDEX)
    mask.putpalette([200 - value for value in range(48)])
    mask.save(tmp_path / "a_mask.png", bits=bits)
    assert scenes(tmp_path)[0].mask.tolist() == INDEX.tolist()


# What an image's pixels mean


def test_all_kinds_of_pixels_become_rgb(tmp_path: Path) -> None:
    grey = np.array([[0, 255, 256, 65535]], np.uint16)
    assert _image(tmp_path, grey)[..., 1].tolist() == [[0, 0, 1, 255]]
    translucent = np.array([[[1, 2, 3, 0], [4, 5, 6, 255]]], np.uint8)
    assert _image(tmp_path, translucent).tolist() == [[[1, 2, 3], [4, 5, 6]]]
    assert _image(tmp_path, np.array([[True, False]])).tolist() == [[[255] * 3, [0] * 3]]


@pytest.mark.filterwarnings("error")
def test_a_palette_with_transparency(tmp_path: Path) -> None:
    picture = Image.fromarray(np.array([[0, 1]], np.uint8))
    picture.putpalette([1, 2, 3, 4, 5, 6])
    picture.save(tmp_path / "a.png", transparency=b"\x00\x80")
    assert scenes(tmp_path)[0].image.tolist() == [[[1, 2, 3], [4, 5, 6]]]


def test_photographs_are_rotated_as_exif_says(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    save(tmp_path / "a.jpg", np.zeros((8, 16, 3), np.uint8), exif=exif)
    assert scenes(tmp_path)[0].image.shape == (16, 8, 3)


def _image(root: Path, pixels: Array) -> Array:
    save(root / "a.png", pixels)
    return scenes(root)[0].image


# What is refused


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({"a.png": None, "b.png": None, "a_mask.png": INDEX}, r"b\.png: has no mask; 1 of 2 images"),
        ({"images/a.png": None, "masks/b.png": INDEX}, r"a\.png: has no mask; 1 of 1 images"),
        ({"a.png": None, "masks/a.png": INDEX, "masks/b.png": INDEX}, r"masks/b\.png: is the mask of no image"),
        ({"a.png": None, "b_mask.png": INDEX, "masks/a.png": INDEX}, r"b_mask\.png: has no mask"),
        ({"masks/a.png": INDEX}, "has no images"),
    ],
)
def test_masks_that_do_not_match_are_refused(tmp_path: Path, files: dict[str, Array | None], problem: str) -> None:
    for name, pixels in files.items():
        save(tmp_path / name, pixels)
    with pytest.raises(SourceError, match=problem):
        items(tmp_path)


def test_two_images_with_one_mask_are_refused(tmp_path: Path) -> None:
    for name in ("a.jpg", "a.png"):
        save(tmp_path / name)
    assert len(items(tmp_path)) == 2
    save(tmp_path / "masks" / "a.png", INDEX)
    with pytest.raises(SchemaError, match=r"a\.png: .*a\.jpg has the same mask, .*masks/a\.png"):
        items(tmp_path)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    picture = save(tmp_path / "a.png")
    for path in (picture, tmp_path / "absent"):
        assert not folder.recognises(path)
        with pytest.raises(SourceError, match=r"no such folder|is a file"):
            items(path)
    with pytest.raises(SourceError, match="truth: no such folder"):
        items(tmp_path, masks="truth")


@pytest.mark.parametrize("name", ["images/b.png", "masks/a.png"])
def test_a_link_out_of_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    root, elsewhere = tmp_path / "root", save(tmp_path / "elsewhere.png", INDEX)
    save(root / "images" / "a.png")
    (root / "masks").mkdir()
    (root / name).symlink_to(elsewhere)
    with pytest.raises(SourceError, match=rf"{name}: is a link to a file outside of"):
        items(root)
    (root / name).unlink()
    save(root / "masks" / "real.png", INDEX)
    (root / name).symlink_to(root / "masks" / "real.png")  # within the folder, it is allowed
    items(root, masks="none")


@pytest.mark.parametrize(
    ("mask", "config", "problem"),
    [
        (INDEX[:1], {}, r"a_mask\.png: has 1×3 pixels, its image .*a\.jpg 2×3"),
        (MANY, {}, "has 257 colours"),
        (COLOURS, {"mask_values": "index"}, "has RGB pixels"),
    ],
)
def test_unusable_masks_are_refused(tmp_path: Path, mask: Array, config: dict[str, Any], problem: str) -> None:
    with pytest.raises(SchemaError, match=problem):
        mask_of(tmp_path, mask, **config)


def test_255_entities_are_accepted(tmp_path: Path) -> None:
    save(tmp_path / "a.png", np.zeros((1, 256, 3), np.uint8))
    save(tmp_path / "a_mask.png", np.arange(256, dtype=np.uint8)[None, :, None].repeat(3, axis=2))
    assert scenes(tmp_path)[0].mask.tolist() == [list(range(256))]


@pytest.mark.parametrize("suffix", ["png", "webp", "tif"])
def test_several_frames_are_refused(tmp_path: Path, suffix: str) -> None:
    frames = [Image.new("RGB", (4, 4), (shade, 0, 0)) for shade in (0, 100, 200)]
    frames[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=frames[1:])
    with pytest.raises(SchemaError, match=rf"a\.{suffix}: has 3 frames"):
        scenes(tmp_path)


def test_a_format_that_contradicts_the_name_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "a.png", format="JPEG")
    with pytest.raises(CorruptDataError, match=r"a\.png: holds JPEG data under the name of another format"):
        scenes(tmp_path)
    save(tmp_path / "a.png", format="GIF")
    with pytest.raises(CorruptDataError, match=r"a\.png: is not a PNG, JPEG, WebP, BMP or TIFF file"):
        scenes(tmp_path)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "bmp", "tif"])
def test_truncated_pictures_are_refused(tmp_path: Path, suffix: str) -> None:
    path = save(tmp_path / f"a.{suffix}", np.random.default_rng(0).integers(0, 256, (40, 40, 3)).astype(np.uint8))
    content = path.read_bytes()
    for length in (0, 1, 30, len(content) // 2):
        path.write_bytes(content[:length])
        with pytest.raises(CorruptDataError, match=rf"a\.{suffix}: "):
            scenes(tmp_path)


def test_an_altered_pixel_is_detected(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", np.zeros((20, 20, 3), np.uint8), compress_level=0)
    content = bytearray(path.read_bytes())
    content[200] ^= 1
    path.write_bytes(content)
    with pytest.raises(CorruptDataError, match=r"a\.png: this picture is truncated or altered"):
        scenes(tmp_path)


@pytest.mark.parametrize("limit", [100, 150])  # an error of Pillow, and a warning
def test_too_many_pixels_are_refused(tmp_path: Path, limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path / "a.png", np.zeros((15, 15, 3), np.uint8))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with pytest.raises(CorruptDataError, match=r"a\.png: has too many pixels"):
        scenes(tmp_path)


def test_a_header_that_announces_terabytes_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png")
    content = bytearray(path.read_bytes())
    content[16:24] = struct.pack(">II", 1_000_000, 1_000_000)
    path.write_bytes(content)
    with pytest.raises(CorruptDataError, match=r"a\.png"):
        scenes(tmp_path)


def test_pixels_of_other_types_are_refused(tmp_path: Path) -> None:
    save(tmp_path / "a.tif", np.ones((2, 2), np.float32))
    with pytest.raises(SchemaError, match=r"a\.tif: its pixels are floating-point"):
        scenes(tmp_path)
    save(tmp_path / "a.tif", np.full((2, 2), 70_000, np.int32))
    with pytest.raises(SchemaError, match=r"a\.tif: has values from 70000 to 70000"):
        scenes(tmp_path)


def test_an_unreadable_file_is_a_storage_error(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png")
    (item,) = items(tmp_path)
    path.unlink()
    with pytest.raises(StorageError, match=r"a\.png: cannot be read \(No such file"):
        folder.scenes(item, "key", EXPECTED, folder.Config())
