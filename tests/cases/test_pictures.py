"""What the values of images mean: depth, transparency, profiles, and pictures that are turned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from support import Command, put, scene

Pixels = NDArray[Any]


def images(tmp_path: Path, made: Any) -> Pixels:
    (file,) = (tmp_path / made.stdout.strip()).glob("*.h5")
    with h5py.File(file) as opened:
        found: Pixels = opened["image"][:]
    return found


def masks(tmp_path: Path, made: Any) -> Pixels:
    (file,) = (tmp_path / made.stdout.strip()).glob("*.h5")
    with h5py.File(file) as opened:
        found: Pixels = opened["mask"][:]
    return found


def note(made: Any, words: str) -> str:
    """The note with these words."""
    return next((line for line in made.stderr.splitlines() if "note: " in line and words in line), "")


@pytest.mark.parametrize(("bits", "suffix"), [(12, "png"), (10, "tif"), (14, "png"), (8, "png")])
def test_16_bits_of_which_few_are_used_are_reported_and_the_remedy_works(
    iodine_kit: Command, tmp_path: Path, bits: int, suffix: str
) -> None:
    wide = [scene(number)[0].mean(2).astype(np.uint16) << (bits - 8) for number in range(3)]
    for number, one in enumerate(wide):
        put(tmp_path / f"in/{number}.{suffix}", one)
    said = note(iodine_kit("prepare", "folder", "--source", "in"), "16 bits")
    assert "3 records" in said and f"--set layout.bits={bits}" in said
    read = images(tmp_path, iodine_kit("prepare", "folder", "--source", "in", "--set", f"layout.bits={bits}"))
    assert np.array_equal(read[..., 0], np.stack(wide) >> (bits - 8))


def test_all_16_bits_need_no_note(iodine_kit: Command, tmp_path: Path) -> None:
    put(tmp_path / "in/a.png", scene(0)[0].mean(2).astype(np.uint16) * 256)
    assert not note(iodine_kit("prepare", "folder", "--source", "in"), "16 bits")


def turn(root: Path, number: int, orientation: int, mask_upright: bool) -> tuple[Pixels, Pixels]:
    """A photograph of 48×64 pixels that a telephone stored turned, and its mask; returns both upright."""
    image, mask = scene(number, size=64)
    image, mask = image[:48], mask[:48]
    exif = Image.Exif()
    exif[0x0112] = orientation
    put(root / f"images/{number}.jpg", image, exif=exif, quality=95)
    back = {3: lambda one: one[::-1, ::-1], 6: lambda one: np.rot90(one, -1), 8: lambda one: np.rot90(one)}[orientation]
    put(root / f"masks/{number}.png", np.ascontiguousarray(back(mask)) if mask_upright else mask)
    return np.ascontiguousarray(back(image)), np.ascontiguousarray(back(mask))


@pytest.mark.parametrize("mask_upright", [False, True])
@pytest.mark.parametrize("orientation", [6, 8])
def test_masks_are_turned_with_their_photographs(
    iodine_kit: Command, tmp_path: Path, orientation: int, mask_upright: bool
) -> None:
    true = [turn(tmp_path / "in", number, orientation, mask_upright) for number in range(3)]
    made = iodine_kit("prepare", "folder", "--source", "in")
    assert np.array_equal(masks(tmp_path, made), np.stack([mask for _, mask in true]))
    assert abs(images(tmp_path, made).astype(int) - np.stack([image for image, _ in true])).mean() < 8
    assert "3 records" in note(made, "EXIF")


def test_if_sizes_do_not_tell_how_a_mask_is_turned_it_asks(iodine_kit: Command, tmp_path: Path) -> None:
    _, true = turn(tmp_path / "in", 0, 3, False)
    refused = iodine_kit("prepare", "folder", "--source", "in", status=7).stderr
    for option in ("layout.turn=masks-too", "layout.turn=images"):
        assert option in refused
        (mask,) = masks(tmp_path, iodine_kit("prepare", "folder", "--source", "in", "--set", option))
        assert np.array_equal(mask, true if "too" in option else true[::-1, ::-1])


KINDS: dict[str, tuple[str, str]] = {
    "CMYK": ("a.jpg", "CMYK"),
    "transparent": ("a.png", "transparent pixels"),
    "palette with a transparent colour": ("a.png", "transparent pixels"),
    "linear": ("a.png", "gamma"),
    "profile": ("a.png", "colour profile"),
    "black": ("a.png", "same colour in all pixels"),
}


def write(kind: str, path: Path, image: Pixels) -> None:
    picture = Image.fromarray(image)
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "CMYK":
        picture.convert("CMYK").save(path)
    elif kind == "transparent":
        put(path, np.dstack([image, np.where(image[..., 0] > 70, 255, 0)]).astype(np.uint8))
    elif kind.startswith("palette"):
        picture.quantize(8).save(path, transparency=0)
    elif kind == "linear":
        picture.save(path)
        content = path.read_bytes()
        chunk = b"gAMA" + (100_000).to_bytes(4, "big")
        import zlib

        whole = (4).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big")
        path.write_bytes(content[:33] + whole + content[33:])
    elif kind == "profile":
        picture.save(path, icc_profile=b"\0" * 36 + b"acsp" + b"Adobe RGB (1998)" + b"\0" * 80)
    else:
        put(path, np.zeros_like(image))


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_taken_from_a_picture_is_reported(iodine_kit: Command, tmp_path: Path, kind: str) -> None:
    name, words = KINDS[kind]
    write(kind, tmp_path / "in" / name, scene(1)[0])
    assert "1 record:" in note(iodine_kit("prepare", "folder", "--source", "in"), words)


def test_an_ordinary_picture_needs_no_note(iodine_kit: Command, tmp_path: Path) -> None:
    for number, options in enumerate(({}, {"optimize": True}, {"dpi": (300, 300)})):
        put(tmp_path / f"in/{number}.png", scene(number)[0], **options)
    assert not note(iodine_kit("prepare", "folder", "--source", "in"), "the image")


@pytest.mark.parametrize(
    ("pixels", "words"),
    [
        (np.linspace(0, 1, 400).reshape(20, 20).astype(np.float32), "floating-point numbers; save it"),
        (np.arange(400).reshape(20, 20).astype(np.int32) * 1000, "save it with 8 bits"),
        (np.arange(-200, 200).reshape(20, 20).astype(np.int32), "-200 to 199"),
    ],
)
def test_numbers_without_a_brightness_are_refused(
    iodine_kit: Command, tmp_path: Path, pixels: Pixels, words: str
) -> None:
    put(tmp_path / "in/a.tif", pixels)
    assert words in iodine_kit("prepare", "folder", "--source", "in", status=7).stderr


def test_colours_without_an_exact_rgb_are_refused_in_one_sentence(iodine_kit: Command, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    Image.frombytes("LAB", (20, 20), bytes(range(240)) * 5).save(tmp_path / "in/a.tif")
    refused = iodine_kit("prepare", "folder", "--source", "in", status=7).stderr
    assert "LAB" in refused and "Traceback" not in refused and "save it as RGB" in refused


def test_black_and_white_pictures_of_one_bit_are_read(iodine_kit: Command, tmp_path: Path) -> None:
    pixels = scene(2)[1] > 0
    put(tmp_path / "in/a.png", pixels)
    assert np.array_equal(images(tmp_path, iodine_kit("prepare", "folder", "--source", "in"))[0, ..., 0] > 0, pixels)
