"""Masks of every depth and mode, compared with the arrays that they were made from. Pillow only writes them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageFilter

from iodine_kit.errors import CorruptDataError, SchemaError
from iodine_kit.records import IGNORED, Array
from iodine_kit.untrusted.mask_meaning import MaskOptions
from iodine_kit.untrusted.mask_pixels import shared_palette
from iodine_kit.untrusted.masks import Mask, read_index, read_labels, read_mask
from iodine_kit.untrusted.pictures import Picture, read_picture, turned

PARTS = np.array([[0, 0, 2, 2], [1, 1, 2, 2], [1, 0, 3, 3]])
RGB = np.array([[0, 0, 0], [250, 10, 0], [0, 200, 30], [20, 30, 240]], np.uint8)
VOC = [0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0, 0, 0, 128, 128, 0, 128, 0, 128, 128, 128, 128, 128, 64, 0, 0]
VOC += [192, 0, 0, 64, 128, 0, 192, 128, 0, 64, 0, 128, 192, 0, 128, 64, 128, 128, 192, 128, 128, 0, 64, 0]
VOC += [128, 64, 0, 0, 192, 0, 128, 192, 0, 0, 64, 128]


def save(path: Path, pixels: Array, palette: list[int] | None = None, **options: Any) -> Path:
    picture = Image.fromarray(pixels)
    if palette is not None:
        picture.putpalette(palette)
    picture.save(path, **options)
    return path


def read(path: Path, image: Picture | None = None, **options: Any) -> Mask:
    return read_mask(path, str(path), MaskOptions(**options), image)


def partition(pixels: Array) -> list[list[int]]:
    """Numbers in the order of appearance, whatever the values are."""
    numbers: dict[Any, int] = {}
    return [[numbers.setdefault(value, len(numbers)) for value in row] for row in pixels.tolist()]


def same_parts(mask: Mask, parts: Array) -> bool:
    return partition(mask.index) == partition(parts) and np.array_equal(mask.index == 0, parts == 0)


# Every depth, mode and format


def alpha(pixels: Array, background: int) -> Array:
    shown = np.where(PARTS == 0, background, 255).astype(np.uint8)
    return np.dstack([pixels, shown])


KINDS: dict[str, tuple[str, Array]] = {
    "8 bits": ("png", PARTS.astype(np.uint8)),
    "8 bits, sparse": ("png", (PARTS * 80).astype(np.uint8)),
    "8 bits in BMP": ("bmp", PARTS.astype(np.uint8)),
    "8 bits in WebP": ("webp", RGB[PARTS]),
    "16 bits": ("png", (PARTS * 20_000).astype(np.uint16)),
    "16 bits, small": ("png", PARTS.astype(np.uint16)),
    "16 bits in TIFF": ("tif", (PARTS * 20_000).astype(np.uint16)),
    "16 bits, other byte order": ("tif", (PARTS * 20_000).astype(">u2")),
    "32 bits": ("tif", (PARTS * 700_000_000).astype(np.int32)),
    "colours": ("png", RGB[PARTS]),
    "colours in BMP": ("bmp", RGB[PARTS]),
    "opaque": ("png", alpha(RGB[PARTS], 255)),
    "transparent": ("png", alpha(RGB[PARTS], 0)),
    "grey, transparent": ("png", np.dstack([PARTS, np.where(PARTS == 0, 0, 255)]).astype(np.uint8)),
}


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.filterwarnings("error")
def test_every_kind_of_picture_gives_the_same_entities(name: str, tmp_path: Path) -> None:
    suffix, pixels = KINDS[name]
    path = save(tmp_path / f"a.{suffix}", pixels, **({"lossless": True} if suffix == "webp" else {}))
    assert same_parts(read(path), PARTS)
    assert partition(read_labels(path, "")) == partition(PARTS)


def test_black_and_white_are_one_object(tmp_path: Path) -> None:
    for pixels in (PARTS > 0, 255 * (PARTS > 0), 128 * (PARTS > 0), 65_535 * (PARTS > 0), 7 * (PARTS > 0)):
        kind = bool if pixels.dtype == bool else np.uint8 if pixels.max() < 256 else np.uint16
        mask = read(save(tmp_path / "a.png", pixels.astype(kind)))
        assert np.array_equal(mask.index > 0, PARTS > 0)
        assert len(np.unique(mask.index)) == 2
        assert not mask.remarks


def test_ids_keep_their_order_and_small_ones_their_values(tmp_path: Path) -> None:
    ids = np.array([0, 26_004, 17, 300])
    assert (
        read(save(tmp_path / "a.png", ids[PARTS].astype(np.uint16))).index.tolist()
        == np.array([0, 3, 1, 2])[PARTS].tolist()
    )
    small = np.array([0, 9, 63, 4])
    assert read(save(tmp_path / "b.png", small[PARTS].astype(np.uint8))).index.tolist() == small[PARTS].tolist()


@given(
    parts=arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.integers(0, 12)),
    ids=st.lists(st.integers(1, 65_534), min_size=12, max_size=12, unique=True),
)
def test_any_ids_of_16_bits_give_the_same_partition(
    tmp_path_factory: pytest.TempPathFactory, parts: Array, ids: list[int]
) -> None:
    path = tmp_path_factory.mktemp("ids") / "a.png"
    pixels = np.array([0, *ids], np.uint16)[parts]
    mask = read(save(path, pixels), mask_values="index")
    assert same_parts(mask, parts)
    order = np.unique(pixels[pixels > 0])
    if len(order) and order[-1] > 255:
        assert np.array_equal(mask.index, np.where(pixels > 0, np.searchsorted(order, pixels) + 1, 0))
    else:
        assert np.array_equal(mask.index, pixels)
    assert np.array_equal(read_labels(path, ""), pixels)


@given(
    parts=arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.integers(0, 12)),
    colours=st.lists(st.tuples(*3 * [st.integers(0, 255)]).filter(any), min_size=12, max_size=12, unique=True),
)
def test_any_colours_give_the_same_partition_in_the_order_of_appearance(
    tmp_path_factory: pytest.TempPathFactory, parts: Array, colours: list[tuple[int, int, int]]
) -> None:
    path = tmp_path_factory.mktemp("colours") / "a.png"
    mask = read(save(path, np.array([(0, 0, 0), *colours], np.uint8)[parts]))
    assert same_parts(mask, parts)
    seen = [int(value) for value in dict.fromkeys(mask.index.flat) if value]
    assert seen == list(range(1, len(seen) + 1))


# What has two readings, and every way out


def test_255_beside_other_values_asks_and_both_remedies_work(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", np.where(PARTS == 3, 255, PARTS).astype(np.uint8))
    with pytest.raises(SchemaError, match=r"1, 2, 255; .*layout\.ignore=255; .*layout\.mask_values=index"):
        read(path)
    ignoring, every = read(path, ignore="255"), read(path, mask_values="index")
    assert ignoring.ignored and not every.ignored
    assert np.array_equal(ignoring.index, np.where(PARTS == 3, IGNORED, PARTS))
    assert same_parts(every, PARTS)
    assert same_parts(read(path, ignore="none"), PARTS)


def test_65535_beside_other_values_asks_and_both_remedies_work(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", np.where(PARTS == 3, 65_535, PARTS).astype(np.uint16))
    with pytest.raises(SchemaError, match=r"layout\.ignore=65535; .*layout\.mask_values=index"):
        read(path)
    assert np.array_equal(read(path, ignore="65535").index, np.where(PARTS == 3, IGNORED, PARTS))
    assert same_parts(read(path, mask_values="index"), PARTS)


def test_255_can_be_the_background_too(tmp_path: Path) -> None:
    """As -1 is, stored in bytes."""
    for dtype, white in ((np.uint8, 255), (np.uint16, 65_535)):
        pixels = np.where(PARTS == 0, white, PARTS - 1).astype(dtype)
        path = save(tmp_path / "a.png", pixels)
        with pytest.raises(SchemaError, match=rf"if {white} is the background, add --set layout\.background={white}"):
            read(path)
        assert same_parts(read(path, background=white), PARTS)
        assert same_parts(read(path, background="#ffffff"), PARTS)
    rgb = save(tmp_path / "b.png", np.repeat(np.where(PARTS == 0, 255, PARTS).astype(np.uint8)[..., None], 3, 2))
    with pytest.raises(SchemaError, match=r"layout\.background=#ffffff"):
        read(rgb)
    assert same_parts(read(rgb, background="#ffffff"), PARTS)


def test_a_white_surrounding_is_reported_and_the_remedy_works(tmp_path: Path) -> None:
    inside = np.zeros((9, 9), bool)
    inside[2:6, 3:8] = True
    for name, pixels in (("a.png", ~inside), ("b.png", np.where(inside, 0, 255).astype(np.uint8))):
        path = save(tmp_path / name, pixels)
        assert any("layout.background=#ffffff" in text for text in read(path).remarks)
        mask = read(path, background="#ffffff")
        assert np.array_equal(mask.index, inside) and not mask.remarks
    assert not read(save(tmp_path / "c.png", np.where(inside, 255, 0).astype(np.uint8))).remarks


def disc(size: int = 64, scale: int = 8) -> Array:
    """A disc, drawn large and averaged: its edge has many shades."""
    y, x = np.mgrid[: size * scale, : size * scale] / scale - size / 2 + 0.013
    large = 255.0 * (y**2 + x**2 < (size / 3) ** 2)
    return np.rint(large.reshape(size, scale, size, scale).mean((1, 3))).astype(np.uint8)


def test_smooth_edges_of_one_object_ask_and_every_remedy_works(tmp_path: Path) -> None:
    pixels = disc()
    path = save(tmp_path / "a.png", pixels)
    with pytest.raises(SchemaError, match="smooth edges") as caught:
        read(path)
    words = str(caught.value)
    assert "mask_values=binary" in words and "mask_values=index" in words and "min_pixels=17" in words
    assert np.array_equal(read(path, mask_values="binary").index, pixels >= 128)
    assert np.array_equal(read(path, mask_values="index").index, pixels)
    assert set(np.unique(read(path, min_pixels=17).index)) == {0, 1}


def test_smooth_edges_of_colours_are_reported_and_can_be_repaired(tmp_path: Path) -> None:
    shade = disc().astype(np.int64)
    pixels = np.dstack([shade, np.roll(shade, 1, 1) // 2, 0 * shade]).astype(np.uint8)
    path = save(tmp_path / "a.png", pixels)
    assert any("smooth edges" in text and "min_pixels=17" in text for text in read(path).remarks)
    repaired = read(path, min_pixels=17)
    assert not any("smooth" in text for text in repaired.remarks)
    values, counts = np.unique(repaired.index, return_counts=True)
    assert len(values) < 8 and counts.min() >= 17


def squares(values: list[int]) -> Array:
    """Squares of 6 × 6 pixels of given values."""
    pixels = np.zeros((32, 40), np.uint8)
    for number, value in enumerate(values):
        pixels[4 + 3 * number : 10 + 3 * number, 3 + 12 * number : 9 + 12 * number] = value
    return pixels


def blurred(pixels: Array, radius: float) -> Array:
    return np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(radius)))


@pytest.mark.parametrize("radius", [0.7, 1, 2])
def test_small_blurred_objects_of_several_shades_are_refused(tmp_path: Path, radius: float) -> None:
    with pytest.raises(SchemaError, match=r"smooth edges .*mask_values=binary"):
        read(save(tmp_path / "a.png", blurred(squares([80, 160, 240]), radius)))
    resized = Image.fromarray(squares([80, 160, 240])).resize((60, 48), Image.Resampling.BILINEAR)
    with pytest.raises(SchemaError, match="smooth edges"):
        read(save(tmp_path / "b.png", np.asarray(resized)))


@pytest.mark.parametrize("seed", range(8))
def test_ids_of_many_objects_that_touch_are_no_smooth_edges(tmp_path: Path, seed: int) -> None:
    """As cells or superpixels do."""
    rng = np.random.default_rng(seed)
    y, x = rng.integers(0, 64, 120), rng.integers(0, 64, 120)
    rows, columns = np.mgrid[:64, :64]
    nearest = ((rows[..., None] - y) ** 2 + (columns[..., None] - x) ** 2).argmin(2)
    ids = rng.permutation(np.arange(1, 250))[nearest]
    assert not any("smooth" in text for text in read(save(tmp_path / "a.png", ids.astype(np.uint8))).remarks)


def test_one_blurred_object_asks_whether_it_is_one_object_first(tmp_path: Path) -> None:
    one = np.zeros((32, 40), np.uint8)
    one[6:22, 8:30] = 255
    for name, pixels in {"blur": blurred(one, 1), "jpeg": compressed(tmp_path, one)}.items():
        path = save(tmp_path / f"{name}.png", pixels)
        with pytest.raises(SchemaError) as caught:
            read(path)
        first = re.findall(r"--set layout\.(\S+?)=(\w+)", str(caught.value))[0]
        assert first == ("mask_values", "binary")
        assert np.array_equal(read(path, mask_values="binary").index, pixels >= 128)


def compressed(tmp_path: Path, pixels: Array) -> Array:
    """Pixels that were once a JPEG."""
    Image.fromarray(pixels).save(tmp_path / "once.jpg", quality=75)
    return np.asarray(Image.open(tmp_path / "once.jpg"))


def test_edges_that_min_pixels_leaves_are_reported_and_the_named_number_removes_them(tmp_path: Path) -> None:
    shade = disc().astype(np.int64)
    path = save(tmp_path / "a.png", np.dstack([shade, shade // 2, 0 * shade]).astype(np.uint8))
    (note,) = (text for text in read(path, min_pixels=3).remarks if "leaves some" in text)
    assert "layout.min_pixels=3" in note
    named = int(re.findall(r"add --set layout\.min_pixels=(\d+)", note)[0])
    repaired = read(path, min_pixels=named)
    assert set(np.unique(repaired.index)) == {0, 1} and not repaired.remarks


def test_many_small_objects_are_no_smooth_edges(tmp_path: Path) -> None:
    pixels = np.zeros((64, 64), np.uint8)
    for number in range(1, 31):
        y, x = divmod(number, 8)
        pixels[8 * y + 2 : 8 * y + 4, 8 * x + 2 : 8 * x + 4] = number
    assert read(save(tmp_path / "a.png", pixels)).remarks == ()


def test_too_many_entities_are_refused_with_their_number(tmp_path: Path) -> None:
    noise = np.arange(300, dtype=np.uint16).reshape(15, 20) * 200
    with pytest.raises(SchemaError, match=r"has 299 .* at most 255 entities"):
        read(save(tmp_path / "a.png", noise), mask_values="index")
    edges = np.zeros((64, 64), np.uint16)
    edges[10:40, 10:40], edges[50] = 1, np.arange(64) * 1000 + 5
    edges[52:56] = np.arange(256).reshape(4, 64) * 200 + 300
    path = save(tmp_path / "b.png", edges)
    with pytest.raises(SchemaError, match=r"at most 255 entities; .*add --set layout\.min_pixels=17"):
        read(path, mask_values="index")
    assert set(np.unique(read(path, min_pixels=17).index)) == {0, 1}


def test_with_pixels_to_ignore_one_entity_less_fits(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", np.arange(256, dtype=np.uint16).reshape(16, 16))
    assert read(path, mask_values="index").index.max() == 255
    with pytest.raises(SchemaError, match=r"has 255 .* at most 254 entities"):
        read(path, mask_values="index", ignore="300")


# The background


def test_the_background_colour_counts_for_grey_and_palette_pictures_too(tmp_path: Path) -> None:
    white = np.array([255, 0, 90, 180], np.uint8)[PARTS]
    for suffix, pixels in (("png", white), ("tif", white.astype(np.uint16) * 257)):
        assert same_parts(read(save(tmp_path / f"a.{suffix}", pixels), background="#ffffff"), PARTS)
    shown = save(tmp_path / "p.png", PARTS.astype(np.uint8), [255, 255, 255, 0, 0, 0, 9, 9, 9, 5, 0, 0])
    assert same_parts(read(shown, background="#ffffff"), PARTS)
    assert same_parts(read(shown, background="#ffffff", mask_values="colour"), PARTS)
    with pytest.raises(SchemaError, match="not a shade of grey"):
        read(tmp_path / "a.png", background="#ff0000")


@pytest.mark.parametrize("largest", [11, 255, 300, 60_000])
def test_a_value_can_be_background_whatever_the_largest_value_is(tmp_path: Path, largest: int) -> None:
    ids = np.array([7, 3, 5, largest])
    for dtype in (np.uint8, np.uint16, np.int32):
        if largest <= np.iinfo(dtype).max:
            path = save(tmp_path / "a.tif", ids[PARTS].astype(dtype))
            for options in ({"mask_values": "index"}, {"mask_values": "colour"}):
                assert same_parts(read(path, background=7, **options), PARTS)
    assert same_parts(read(path, background="7", ignore="none"), PARTS)


def test_a_value_can_be_background_in_palettes_and_of_one_object(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", np.array([2, 0, 1, 3], np.uint8)[PARTS], VOC[:12])
    assert same_parts(read(path, background=2), PARTS)
    assert same_parts(read(path, background=2, mask_values="colour"), PARTS)
    grey = save(tmp_path / "b.png", np.where(PARTS == 1, 0, 200).astype(np.uint8))
    assert np.array_equal(read(grey, background=200, mask_values="binary").index, PARTS == 1)
    with pytest.raises(SchemaError, match=r"layout\.background=7 is a value of index masks; give a colour"):
        read(save(tmp_path / "c.png", RGB[PARTS]), background=7)


def test_a_shade_with_two_readings_in_16_bits_asks_for_the_value(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", np.array([7, 3, 5, 3000], np.uint16)[PARTS])
    with pytest.raises(SchemaError, match=r"#070707 .* is 1799, and has the value 7 .*=7; if not, .*=1799"):
        read(path, background="#070707")
    assert same_parts(read(path, background=7), PARTS)
    assert not same_parts(read(path, background=1799), PARTS)
    with pytest.raises(SchemaError, match=r"add --set layout\.ignore=9,7; if not, add --set layout\.ignore=9,1799"):
        read(path, ignore="9,#070707")


def test_a_mask_of_one_value_everywhere_has_no_background_and_says_so(tmp_path: Path) -> None:
    for value in (1, 255):
        path = save(tmp_path / "a.png", np.full((8, 9), value, np.uint8))
        (note,) = read(path).remarks
        assert note.startswith("no pixel of the mask is background") and "layout.background=" in note
    assert not read(path, background=255).index.any()
    assert any("no pixel" in text for text in read(path, mask_values="binary").remarks)


def test_no_colour_can_be_background(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", RGB[PARTS])
    mask = read(path, background="none")
    assert partition(mask.index) == partition(PARTS) and mask.index.min() == 1
    assert any("no pixel of the mask is background" in text for text in mask.remarks)


def test_a_black_silhouette_over_transparency_is_an_object(tmp_path: Path) -> None:
    black = alpha(np.zeros((*PARTS.shape, 3), np.uint8), 0)
    assert np.array_equal(read(save(tmp_path / "a.png", black)).index, PARTS > 0)
    black[PARTS == 2, :3] = 255
    path = save(tmp_path / "b.png", black)
    assert np.array_equal(read(path).index, PARTS == 2)
    assert any("layout.background=none" in text for text in read(path).remarks)
    assert np.array_equal(read(path, background="none").index > 0, PARTS > 0)


def test_partly_transparent_pixels_are_reported_and_hidden_colours_refused(tmp_path: Path) -> None:
    pixels = alpha(RGB[PARTS], 60)
    mask = read(save(tmp_path / "a.png", pixels))
    assert same_parts(mask, PARTS) and any("partly transparent" in text for text in mask.remarks)
    pixels[..., 3] = 0
    with pytest.raises(SchemaError, match="transparent everywhere"):
        read(save(tmp_path / "b.png", pixels))


# Palettes


def test_a_palette_with_a_transparent_index(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", (PARTS + 1).astype(np.uint8), list(range(15)), transparency=1)
    assert same_parts(read(path), PARTS)
    assert partition(read_labels(path, "")) == partition(PARTS)


def test_black_at_another_index_asks_and_both_remedies_work(tmp_path: Path) -> None:
    moved = np.array([2, 0, 1, 3], np.uint8)[PARTS]  # what is index 2 is black
    path = save(tmp_path / "a.png", moved, [200, 0, 0, 0, 200, 0, 0, 0, 0, 0, 0, 200])
    with pytest.raises(SchemaError, match=r"index 0 .* #c80000, and index 2 .*=index; if #000000 is, .*=colour"):
        read(path)
    assert same_parts(read(path, mask_values="colour"), PARTS)
    assert np.array_equal(read(path, mask_values="index").index, moved)


def test_files_with_other_palettes_give_equal_numbers_to_equal_colours(tmp_path: Path) -> None:
    """Each file has its own order of colours, as programs that reduce colours write them."""
    rng, colours, files = np.random.default_rng(0), RGB.tolist(), []
    for number in range(6):
        order = rng.permutation(4)
        pixels = np.argsort(order)[PARTS].astype(np.uint8)
        palette = [value for index in order for value in colours[index]]
        files.append(save(tmp_path / f"{number}.png", pixels, palette))
    table = shared_palette(files, 0)
    assert table is not None and len(table) == 4
    masks = [read_mask(file, str(file), MaskOptions(), None, table) for file in files]
    assert all(np.array_equal(mask.index, masks[0].index) and same_parts(mask, PARTS) for mask in masks)


def test_palettes_that_agree_are_read_by_index(tmp_path: Path) -> None:
    files = [
        save(tmp_path / f"{number}.png", PARTS.astype(np.uint8), VOC[: 3 * length])
        for number, length in enumerate((4, 9, 21))
    ]
    files.append(save(tmp_path / "grey.png", PARTS.astype(np.uint8)))
    assert shared_palette(files, 0) is None
    assert np.array_equal(read(files[0]).index, PARTS)


def test_palettes_of_which_some_have_the_background_are_refused(tmp_path: Path) -> None:
    files = [
        save(tmp_path / "a.png", PARTS.astype(np.uint8), [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]),
        save(tmp_path / "b.png", PARTS.astype(np.uint8), [9, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]),
    ]
    with pytest.raises(SchemaError, match=r"b\.png: its palette differs .*=index; if colours count, .*=colour"):
        shared_palette(files, 0)


def test_indices_of_one_colour_are_reported_with_a_remedy(tmp_path: Path) -> None:
    black, red = [0, 0, 0], [255, 0, 0]
    pixels = np.array([[0, 1, 2], [0, 1, 1]], np.uint8)
    for name, palette, by_colour in (("a", black + red + red, [0, 1, 1]), ("b", red + black + red, [1, 0, 1])):
        path = save(tmp_path / f"{name}.png", pixels, palette)
        found = read(path)
        assert np.array_equal(found.index, pixels)
        assert [text for text in found.remarks if "mask_values=colour" in text and "index 0" in text] != []
        assert read(path, mask_values="colour").index[0].tolist() == by_colour
        assert read(path, mask_values="index").remarks == ()
    assert read(save(tmp_path / "c.png", pixels, [0] * 9)).remarks == (), "one colour says nothing"
    assert read(save(tmp_path / "d.png", pixels, black + red + [0, 255, 0])).remarks == ()


def test_the_border_in_the_palette_of_voc_is_ignored(tmp_path: Path) -> None:
    palette = VOC + [0] * (765 - len(VOC)) + [224, 224, 192]
    path = save(tmp_path / "a.png", np.where(PARTS == 3, 255, PARTS).astype(np.uint8), palette)
    mask = read(path)
    assert mask.ignored and np.array_equal(mask.index, np.where(PARTS == 3, IGNORED, PARTS))
    assert any("PASCAL VOC" in text for text in mask.remarks)
    assert not read(path, ignore="none").ignored
    assert np.array_equal(read(path, ignore="#e0e0c0").index, mask.index)
    assert np.array_equal(read(path, ignore="255", mask_values="colour").index == IGNORED, PARTS == 3)


# Pixels to ignore


@pytest.mark.parametrize("ignore", ["2", "2,3", "3, 2", [2, 3], 2])
def test_values_to_ignore(tmp_path: Path, ignore: Any) -> None:
    wanted = {2} if ignore in ("2", 2) else {2, 3}
    mask = read(save(tmp_path / "a.png", PARTS.astype(np.uint8)), ignore=ignore)
    assert np.array_equal(mask.index == IGNORED, np.isin(PARTS, list(wanted)))
    assert np.array_equal(mask.index == 0, PARTS == 0)


def test_colours_to_ignore(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", RGB[PARTS])
    mask = read(path, ignore="#fa0a00")
    assert mask.ignored and np.array_equal(mask.index == IGNORED, PARTS == 1)
    with pytest.raises(SchemaError, match=r"layout\.ignore=7 is a value of index masks; give a colour"):
        read(path, ignore="7")
    grey = save(tmp_path / "b.png", np.where(PARTS == 3, 255, PARTS).astype(np.uint8))
    assert np.array_equal(read(grey, ignore="#ffffff").index == IGNORED, PARTS == 3)


def test_an_entity_is_never_stored_as_ignored(tmp_path: Path) -> None:
    pixels = np.where(PARTS == 3, 255, PARTS).astype(np.uint8)
    mask = read(save(tmp_path / "a.png", pixels), ignore="2", mask_values="index")
    assert np.array_equal(mask.index == IGNORED, PARTS == 2)


# What is refused or suspicious


@pytest.mark.parametrize("suffix", ["jpg", "webp", "tif"])
def test_lossy_masks_are_refused_and_the_remedy_for_one_object_works(tmp_path: Path, suffix: str) -> None:
    objects = np.zeros((40, 40), bool)
    objects[8:32, 8:32] = True
    pixels = (np.repeat(objects[..., None], 3, 2) * 255).astype(np.uint8)
    options = {"jpg": {"quality": 90}, "webp": {"quality": 50}, "tif": {"compression": "jpeg"}}[suffix]
    path = save(tmp_path / f"a.{suffix}", pixels, **options)
    with pytest.raises(SchemaError, match=r"compression changes .*save masks as PNG, .*mask_values=binary"):
        read(path)
    assert np.array_equal(read(path, mask_values="binary").index[10:30, 10:30], objects[10:30, 10:30])
    assert read(path, mask_values="binary").index.sum() == pytest.approx(objects.sum(), abs=40)


def test_binary_asks_for_indices_if_nothing_is_bright(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", PARTS.astype(np.uint8))
    with pytest.raises(SchemaError, match=r"finds no object; .*mask_values=index"):
        read(path, mask_values="binary")
    assert not read(save(tmp_path / "b.png", 0 * PARTS.astype(np.uint8)), mask_values="binary").index.any()


@pytest.mark.parametrize(
    ("pixels", "mode", "words"),
    [
        (PARTS.astype(np.float32), None, "floating-point"),
        (np.zeros((4, 4, 4), np.uint8), "CMYK", "CMYK"),
        (np.zeros((4, 4, 3), np.uint8), "LAB", "LAB"),
        (-PARTS.astype(np.int32), None, "below 0"),
    ],
)
def test_pixels_that_are_no_ids_are_refused(tmp_path: Path, pixels: Array, mode: str | None, words: str) -> None:
    picture = Image.fromarray(pixels) if mode is None else Image.frombytes(mode, pixels.shape[1::-1], pixels.tobytes())
    picture.save(tmp_path / "a.tif")
    with pytest.raises(SchemaError, match=words):
        read(tmp_path / "a.tif")


def test_several_frames_and_damage_are_refused(tmp_path: Path) -> None:
    frames = [Image.fromarray(PARTS.astype(np.uint8) + shade) for shade in range(2)]
    frames[0].save(tmp_path / "a.tif", save_all=True, append_images=frames[1:])
    with pytest.raises(SchemaError, match="has 2 frames"):
        read(tmp_path / "a.tif")
    path = save(tmp_path / "b.png", PARTS.astype(np.uint16))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(CorruptDataError, match="truncated"):
        read(path)


def test_indices_of_published_masks_are_read_as_they_are(tmp_path: Path) -> None:
    sparse = np.array([7, 255, 0, 90], np.uint8)[PARTS]
    assert np.array_equal(read_index(save(tmp_path / "a.png", sparse), ""), sparse)
    assert np.array_equal(read_index(save(tmp_path / "b.png", PARTS.astype(np.uint8), [5] * 768), ""), PARTS)
    with pytest.raises(SchemaError, match="at most 255"):
        read_index(save(tmp_path / "c.png", PARTS.astype(np.uint16) * 200), "")


# Masks of images that were turned


@pytest.mark.parametrize("orientation", range(2, 9))
def test_turning_is_what_pillow_does(tmp_path: Path, orientation: int) -> None:
    pixels = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = read_picture(save(tmp_path / "a.png", pixels, exif=exif), "")
    assert picture.orientation == orientation
    assert np.array_equal(picture.pixels, turned(pixels, orientation))
    assert "the image was turned, as its EXIF orientation says" in picture.remarks


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_sizes_tell_whether_a_mask_is_turned(tmp_path: Path, orientation: int) -> None:
    image = Picture(np.zeros((4, 3, 3), np.uint8), orientation)  # upright; 3×4 in its file
    stored = read(save(tmp_path / "a.png", PARTS.astype(np.uint8)), image)
    assert np.array_equal(stored.index, turned(PARTS, orientation))
    assert "the mask was turned with its image" in stored.remarks
    upright = np.ascontiguousarray(PARTS.T.astype(np.uint8))
    assert np.array_equal(read(save(tmp_path / "b.png", upright), image).index, upright)


@pytest.mark.parametrize(("orientation", "size"), [(3, (3, 4)), (2, (3, 4)), (6, (3, 3))])
def test_if_sizes_do_not_tell_it_asks_and_both_remedies_work(
    tmp_path: Path, orientation: int, size: tuple[int, int]
) -> None:
    pixels = PARTS[: size[0], : size[1]].astype(np.uint8)
    path, image = save(tmp_path / "a.png", pixels), Picture(np.zeros((*size, 3), np.uint8), orientation)
    with pytest.raises(SchemaError, match=r"layout\.turn=masks-too; .*layout\.turn=images"):
        read(path, image)
    assert np.array_equal(read(path, image, turn="masks-too").index, turned(pixels, orientation))
    assert np.array_equal(read(path, image, turn="images").index, pixels)
    empty = save(tmp_path / "b.png", 0 * pixels)
    assert not read(empty, image).index.any()


def test_a_mask_with_an_orientation_of_its_own_is_turned_by_it(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    path = save(tmp_path / "a.png", PARTS.astype(np.uint8), exif=exif)
    mask = read(path, Picture(np.zeros((3, 4, 3), np.uint8), 3))
    assert np.array_equal(mask.index, PARTS[::-1, ::-1])
