"""What the pixels of a mask mean: ids of 16 bits, palettes, transparency, smooth edges, pixels to ignore."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter
from support import Command, put, scene

Pixels = NDArray[Any]
PALETTE = np.array([[0, 0, 0], [220, 20, 60], [20, 200, 60], [20, 60, 220], [240, 220, 10]], np.uint8)


def scenes(root: Path, count: int = 3, objects: int = 3) -> list[Pixels]:
    """Images in a folder; returns their masks."""
    masks = []
    for number in range(count):
        image, mask = scene(number, objects=objects)
        put(root / "images" / f"{number}.png", image)
        masks.append(mask)
    return masks


def prepared(tmp_path: Path, made: Any) -> Pixels:
    """The masks of a data set, in the order of the images."""
    (file,) = (tmp_path / made.stdout.strip()).glob("*.h5")
    with h5py.File(file) as opened:
        masks: Pixels = opened["mask"][:]
    return masks


def facts(tmp_path: Path, made: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((tmp_path / made.stdout.strip() / "dataset.json").read_text("utf-8"))
    return found


def same_parts(read: Pixels, true: Pixels) -> bool:
    """Whether two masks have the same entities and the same background."""
    pairs = {(int(one), int(other)) for one, other in zip(read.flat, true.flat, strict=True)}
    return len(pairs) == len(np.unique(read)) == len(np.unique(true)) and np.array_equal(read == 0, true == 0)


def remedies(message: str) -> list[list[str]]:
    """The options that an error names, each as arguments."""
    return [["--set", setting.rstrip(".,;")] for setting in re.findall(r"--set (\S+)", message)]


def refused(iodine_kit: Command, *arguments: object) -> str:
    """The one sentence of an error."""
    lines = iodine_kit("prepare", "folder", "--source", *arguments, status=7).stderr.splitlines()
    return next(line for line in lines if line.startswith("error: "))


def test_ids_of_16_bits_are_kept_apart(iodine_kit: Command, tmp_path: Path) -> None:
    for name, ids in {"low": [0, 25, 50, 75, 100], "high": [0, 26_001, 26_002, 26_003, 26_004]}.items():
        masks = scenes(tmp_path / name, objects=4)
        for number, mask in enumerate(masks):
            put(tmp_path / name / "masks" / f"{number}.png", np.array(ids, np.uint16)[mask])
        for options in ([], ["--set", "layout.mask_values=index"], ["--set", "layout.mask_values=colour"]):
            read = prepared(tmp_path, iodine_kit("prepare", "folder", "--source", name, *options))
            assert all(map(same_parts, read, masks)), (name, options)


def discs(size: int = 64, colours: tuple[str, str] = ("red", "lime")) -> Image.Image:
    big = Image.new("RGB", (4 * size, 4 * size))
    draw = ImageDraw.Draw(big)
    draw.ellipse([size // 3, size // 2, size * 7 // 4, size * 15 // 8], fill=colours[0])
    draw.ellipse([size * 15 // 8, size * 3 // 2, size * 7 // 2, size * 25 // 8], fill=colours[1])
    return big


def test_smooth_edges_are_reported_with_their_number(iodine_kit: Command, tmp_path: Path) -> None:
    mask = np.asarray(discs().resize((64, 64), Image.Resampling.BILINEAR))
    for number in range(3):
        put(tmp_path / f"in/images/{number}.png", mask // 2 + 40 + number)
        put(tmp_path / f"in/masks/{number}.png", mask)
    made = iodine_kit("prepare", "folder", "--source", "in")
    note = next(line for line in made.stderr.splitlines() if "smooth edges" in line)
    assert "3 records" in note and "100 values or more" in note
    (repair,) = remedies(note)
    read = prepared(tmp_path, iodine_kit("prepare", "folder", "--source", "in", *repair))
    assert set(np.unique(read)) == {0, 1, 2}


def rims(root: Path) -> tuple[list[Pixels], list[Pixels]]:
    """Masks with objects 1 and 2, and a rim of 255 around both; and where the rims are."""
    masks, edges = scenes(root, objects=2), []
    for number, mask in enumerate(masks):
        grown = Image.fromarray((mask > 0).astype(np.uint8)).filter(ImageFilter.MaxFilter(3))
        edges.append((np.asarray(grown) > 0) & (mask == 0))
        put(root / "masks" / f"{number}.png", np.where(edges[-1], 255, mask).astype(np.uint8))
    return masks, edges


def test_255_asks_whether_it_marks_pixels_to_ignore(iodine_kit: Command, tmp_path: Path) -> None:
    masks, edges = rims(tmp_path / "in")
    offered = remedies(refused(iodine_kit, "in"))
    assert ["--set", "layout.ignore=255"] in offered and len(offered) > 1
    for option in offered:
        made = iodine_kit("prepare", "folder", "--source", "in", *option)
        if "ignore" in option[1]:
            assert facts(tmp_path, made)["info"]["ignored"] == 255
            read = prepared(tmp_path, made)
            assert all(np.array_equal(one == 255, edge) for one, edge in zip(read, edges, strict=True))
            assert all(np.array_equal(np.where(one == 255, 0, one), m) for one, m in zip(read, masks, strict=True))


def test_255_in_grey_masks_saved_as_colours_asks_as_well(iodine_kit: Command, tmp_path: Path) -> None:
    _, edges = rims(tmp_path / "in")
    for path in (tmp_path / "in/masks").iterdir():
        grey = np.asarray(Image.open(path))
        put(path, np.repeat(grey[..., None], 3, axis=2))
    offered = remedies(refused(iodine_kit, "in"))
    assert len(offered) > 1
    reads = [prepared(tmp_path, iodine_kit("prepare", "folder", "--source", "in", *option)) for option in offered]
    assert any(np.array_equal(read == 255, np.stack(edges)) for read in reads)


def voc_palette() -> list[int]:
    """The colours of PASCAL VOC, as its development kit computes them."""
    colours = []
    for index in range(256):
        red = green = blue = 0
        for bit in range(8):
            red |= ((index >> (3 * bit)) & 1) << (7 - bit)
            green |= ((index >> (3 * bit + 1)) & 1) << (7 - bit)
            blue |= ((index >> (3 * bit + 2)) & 1) << (7 - bit)
        colours += [red, green, blue]
    return colours


@pytest.mark.parametrize("rgb", [False, True])
def test_the_border_of_voc_is_ignored_and_reported(iodine_kit: Command, tmp_path: Path, rgb: bool) -> None:
    _, edges = rims(tmp_path / "in")
    for path in (tmp_path / "in/masks").iterdir():
        picture = Image.open(path)
        picture.load()
        picture.putpalette(voc_palette())
        (picture.convert("RGB") if rgb else picture).save(path)
    made = iodine_kit("prepare", "folder", "--source", "in")
    assert np.array_equal(prepared(tmp_path, made) == 255, np.stack(edges))
    assert facts(tmp_path, made)["info"]["ignored"] == 255
    assert "PASCAL VOC" in made.stderr


def test_palettes_are_compared_by_colour(iodine_kit: Command, tmp_path: Path) -> None:
    """Programs that reduce colours write another order of colours into each file."""
    masks, rng = scenes(tmp_path / "in", count=5), np.random.default_rng(1)
    for number, mask in enumerate(masks):
        order = rng.permutation(4)
        picture = Image.fromarray(np.argsort(order).astype(np.uint8)[mask])
        picture.putpalette(PALETTE[order].reshape(-1).tolist())
        (tmp_path / "in/masks").mkdir(exist_ok=True)
        picture.save(tmp_path / f"in/masks/{number}.png")
    read = prepared(tmp_path, iodine_kit("prepare", "folder", "--source", "in"))
    assert all(map(same_parts, read, masks))
    numbers = {(int(one), int(other)) for one, other in zip(read.flat, np.stack(masks).flat, strict=True)}
    assert len(numbers) == 4  # the same number for the same colour in all files


def test_a_background_at_another_index_asks(iodine_kit: Command, tmp_path: Path) -> None:
    masks = scenes(tmp_path / "in")
    for number, mask in enumerate(masks):
        picture = Image.fromarray(np.array([1, 0, 2, 3], np.uint8)[mask])
        picture.putpalette(PALETTE[[1, 0, 2, 3]].reshape(-1).tolist())
        (tmp_path / "in/masks").mkdir(exist_ok=True)
        picture.save(tmp_path / f"in/masks/{number}.png")
    offered = remedies(refused(iodine_kit, "in"))
    assert len(offered) == 2
    reads = [prepared(tmp_path, iodine_kit("prepare", "folder", "--source", "in", *option)) for option in offered]
    assert any(all(map(same_parts, read, masks)) for read in reads)


def test_transparent_pixels_are_background(iodine_kit: Command, tmp_path: Path) -> None:
    masks = scenes(tmp_path / "in")
    for number, mask in enumerate(masks):
        hidden = np.where(mask[..., None] > 0, PALETTE[mask], 255)  # what editors leave below transparency
        put(tmp_path / f"in/masks/{number}.png", np.dstack([hidden, 255 * (mask > 0)]).astype(np.uint8))
    assert all(map(same_parts, prepared(tmp_path, iodine_kit("prepare", "folder", "--source", "in")), masks))


def test_a_smooth_grey_mask_asks_and_every_remedy_works(iodine_kit: Command, tmp_path: Path) -> None:
    """One object whose edge has shades, as editors and segmentation networks write it."""
    grey = np.asarray(discs(colours=("white", "white")).convert("L").resize((64, 64), Image.Resampling.BILINEAR))
    put(tmp_path / "in/images/a.png", np.repeat(grey[..., None] // 2, 3, axis=2))
    put(tmp_path / "in/masks/a.png", grey)
    offered = remedies(refused(iodine_kit, "in"))
    assert ["--set", "layout.mask_values=binary"] in offered
    for option in offered:
        (read,) = prepared(tmp_path, iodine_kit("prepare", "folder", "--source", "in", *option))
        if "binary" in option[1]:
            assert np.array_equal(read, grey >= 128)


def test_panoptic_ids_in_three_channels_are_entities(iodine_kit: Command, tmp_path: Path) -> None:
    """COCO's panoptic masks: the id is R + 256 G + 65536 B."""
    masks, ids = scenes(tmp_path / "in"), np.array([0, 3_226_956, 6_979_964, 1_249_000])
    for number, mask in enumerate(masks):
        code = ids[mask]
        rgb = np.dstack([code % 256, code // 256 % 256, code // 65_536]).astype(np.uint8)
        put(tmp_path / f"in/masks/{number}.png", rgb)
    assert all(map(same_parts, prepared(tmp_path, iodine_kit("prepare", "folder", "--source", "in")), masks))


def test_a_mask_drawn_with_a_colour_map_has_no_background_and_says_so(iodine_kit: Command, tmp_path: Path) -> None:
    """Plotting libraries draw 0 in a colour of its own, such as violet."""
    colours = np.array([[68, 1, 84], [49, 104, 142], [53, 183, 121], [253, 231, 37]], np.uint8)
    masks = scenes(tmp_path / "in")
    for number, mask in enumerate(masks):
        put(tmp_path / f"in/masks/{number}.png", np.dstack([colours[mask], np.full_like(mask, 255)]))
    made = iodine_kit("prepare", "folder", "--source", "in")
    assert "no pixel of the mask is background" in made.stderr
    option = ["--set", "layout.background=#440154"]
    assert all(map(same_parts, prepared(tmp_path, iodine_kit("prepare", "folder", "--source", "in", *option)), masks))


@pytest.mark.parametrize("name", ["a.tif", "a.bmp", "a.webp"])
def test_masks_in_other_formats(iodine_kit: Command, tmp_path: Path, name: str) -> None:
    image, mask = scene(3)
    put(tmp_path / "in/images/a.png", image)
    pixels = PALETTE[mask] if name == "a.webp" else mask
    put(tmp_path / "in/masks" / name, pixels, **({"lossless": True} if name == "a.webp" else {}))
    (read,) = prepared(tmp_path, iodine_kit("prepare", "folder", "--source", "in"))
    assert same_parts(read, mask)


def test_a_mask_as_jpeg_is_refused_in_one_sentence(iodine_kit: Command, tmp_path: Path) -> None:
    image, mask = scene(3)
    put(tmp_path / "in/images/a.png", image)
    put(tmp_path / "in/masks/a.jpg", PALETTE[mask])
    assert "PNG" in refused(iodine_kit, "in")


@pytest.mark.parametrize("kind", ["16 bits", "colours", "palette", "255 for no slot"])
def test_predicted_pictures_of_every_kind_score_as_their_labels(iodine_kit: Command, tmp_path: Path, kind: str) -> None:
    masks = scenes(tmp_path / "in")
    for number, mask in enumerate(masks):
        put(tmp_path / f"in/masks/{number}.png", mask)
    data = iodine_kit("prepare", "folder", "--source", "in", "--split", "test=3").stdout.strip()
    with h5py.File(tmp_path / data / "test.h5") as opened:
        keys = opened["key"].asstr()[:]
    (tmp_path / "pred").mkdir()
    for key, mask in zip(keys, masks, strict=True):
        picture = {
            "16 bits": lambda mask=mask: Image.fromarray(mask.astype(np.uint16) * 9000),
            "colours": lambda mask=mask: Image.fromarray(PALETTE[mask]),
            "palette": lambda mask=mask: Image.fromarray(mask),
            "255 for no slot": lambda mask=mask: Image.fromarray(np.where(mask == 0, 255, mask).astype(np.uint8)),
        }[kind]()
        if kind == "palette":
            picture.putpalette(PALETTE[[3, 1, 0, 2]].reshape(-1).tolist())
        put_at = tmp_path / "pred" / f"{key}.png"
        put_at.parent.mkdir(parents=True, exist_ok=True)
        picture.save(put_at)
    done = iodine_kit("eval", "--predictions", "pred", "--dataset", data, "--metric", "ari")
    assert "1.0000" in done.stderr + done.stdout


@pytest.mark.parametrize("option", ["layout.ignore=200", "layout.background=#050505", "layout.bits=12"])
def test_an_option_without_effect_on_any_record_is_reported(iodine_kit: Command, tmp_path: Path, option: str) -> None:
    for number, mask in enumerate(scenes(tmp_path / "in")):
        put(tmp_path / f"in/masks/{number}.png", mask)
        put(
            tmp_path / f"used/masks/{number}.png",
            np.where(mask == number, [200, 5, 200][number], mask).astype(np.uint8),
        )
    made = iodine_kit("prepare", "folder", "--source", "in", "--set", option)
    (note,) = (line for line in made.stderr.splitlines() if option in line)
    assert note.startswith("note: 3 records: ")
    used = tmp_path / "used/images"
    used.mkdir()
    for number in range(3):
        picture = np.asarray(Image.open(tmp_path / f"in/images/{number}.png"))
        put(used / f"{number}.png", picture[..., 0].astype(np.uint16) * 10 if number == 1 else picture)
    made = iodine_kit("prepare", "folder", "--source", "used", "--set", option)
    assert option not in made.stderr  # it has an effect on one record
    (stored,) = (facts(tmp_path, made).get("remarks", []),)
    assert not any(option in remark["text"] for remark in stored)


def test_the_remedy_for_more_than_the_given_bits_is_exact(iodine_kit: Command, tmp_path: Path) -> None:
    for number, mask in enumerate(scenes(tmp_path / "in", count=1)):
        put(tmp_path / f"in/masks/{number}.png", mask)
        put(tmp_path / f"in/images/{number}.png", (mask.astype(np.uint16) + 1) * 15_000)
    message = refused(iodine_kit, "in", "--set", "layout.bits=12")
    assert message.endswith("set layout.bits=16")
    iodine_kit("prepare", "folder", "--source", "in", "--set", "layout.bits=16")
