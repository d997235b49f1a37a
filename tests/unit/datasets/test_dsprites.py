from __future__ import annotations

import itertools
import math
import zipfile
from pathlib import Path

import numpy as np
import pytest
from fakes import OPEN_HEADER
from hypothesis import given
from hypothesis import strategies as st

from iodine_kit.datasets._dsprites import _FORMULAS, NAMES, SIZE, load_sprites, silhouette
from iodine_kit.errors import CorruptDataError, SchemaError, SourceError
from iodine_kit.records import Array

IDS = range(1, len(NAMES))
shapes = st.sampled_from(IDS)
angles = st.floats(0, 2 * math.pi)
grid = st.integers(0, 256).map(lambda k: k / 256)  # exact in binary, so that moving by whole pixels is exact


def areas(shape: int, scale: float, orientations: int = 40, places: int = 6) -> Array:
    """Lit pixels over orientations and positions that differ by fractions of a pixel."""
    turns = np.linspace(0, 2 * np.pi, orientations)
    steps = 0.3 + np.arange(places) * (1 + 1 / places) / 32
    return np.array([silhouette(shape, x, y, scale, t).sum() for t, x, y in itertools.product(turns, steps, steps)])


@pytest.mark.parametrize(
    ("name", "area"),
    [
        ("square", 19.2**2),
        ("ellipse", math.pi * 12.8 * 7.2),
        ("heart", math.pi * 9.586 * 7.450),  # moving columns by a function of u keeps the area of the disc
        ("triangle", 3 * math.sqrt(3) / 4 * 13**2),
        ("cross", 2 * 22 * 7 - 7**2),
        ("ring", math.pi * (11**2 - 6**2)),
    ],
)
def test_areas_equal_their_closed_forms(name: str, area: float) -> None:
    shape = NAMES.index(name)
    assert areas(shape, 1.0, 20).mean() == pytest.approx(area, rel=0.004)
    assert areas(shape, 0.5, 20).mean() == pytest.approx(area / 4, rel=0.01)


def test_the_number_of_lit_pixels_equals_that_of_the_published_file() -> None:
    """Mean and mean standard deviation per image of the published file, as two other projects state them.

    The two together hold the three areas in place: the mean fixes their sum, the other how they differ.
    """
    share = np.concatenate(
        [areas(shape, scale, places=3) / SIZE**2 for shape in (1, 2, 3) for scale in np.linspace(0.5, 1, 6)]
    )
    deviations = np.sqrt(share * (1 - share) * SIZE**2 / (SIZE**2 - 1))
    assert share.mean() == pytest.approx(0.042494423521889584, rel=5e-4)
    assert deviations.mean() == pytest.approx(0.19516645880626055, rel=2e-4)


@given(shapes, grid, grid, st.floats(0.1, 2), angles)
def test_boxes_contain_the_whole_sprite(shape: int, x: float, y: float, scale: float, orientation: float) -> None:
    right, down = np.meshgrid(np.arange(SIZE) + 0.5 - 16 - 32 * x, np.arange(SIZE) + 0.5 - 16 - 32 * y)
    turned = np.exp(-1j * orientation) * (right + 1j * down) / scale
    whole = _FORMULAS[shape][0](turned.real, turned.imag)
    assert np.count_nonzero(whole != silhouette(shape, x, y, scale, orientation)) <= 2  # rounding at an edge


@given(shapes, grid, grid, st.floats(0.5, 1), angles)
def test_sprites_of_published_sizes_are_inside_the_image(
    shape: int, x: float, y: float, scale: float, turn: float
) -> None:
    lit = silhouette(shape, x, y, scale, turn)
    assert lit.any() and not (lit[[0, 1, -2, -1]].any() or lit[:, [0, 1, -2, -1]].any())


@given(shapes, st.integers(0, 256), st.integers(0, 256), st.integers(-20, 20), st.floats(0.5, 1), angles)
def test_moving_a_sprite_by_whole_pixels_moves_its_pixels(
    shape: int, x: int, y: int, pixels: int, scale: float, turn: float
) -> None:
    pixels = max(min(pixels, 32 - x // 8), -(x // 8))  # x + pixels/32 stays within 0…1
    here, there = (silhouette(shape, x / 256 + shift / 32, y / 256, scale, turn) for shift in (0, pixels))
    assert (np.roll(here, pixels, axis=1) == there).all()


@pytest.mark.parametrize(("name", "order"), [("square", 4), ("ellipse", 2), ("triangle", 3), ("cross", 4)])
def test_a_symmetric_shape_is_invariant_to_its_rotations(name: str, order: int) -> None:
    rng = np.random.default_rng(0)
    for x, y, scale, turn in rng.random((50, 4)):
        once, again = (silhouette(NAMES.index(name), x, y, 0.5 + scale, t) for t in (turn, turn + 2 * np.pi / order))
        assert (once == again).all()


@pytest.mark.parametrize("shape", IDS)
def test_rotation_runs_from_x_towards_y_and_mirroring_inverts_it(shape: int) -> None:
    rng = np.random.default_rng(1)
    for x, y, scale, turn in rng.random((50, 4)):
        lit = silhouette(shape, x, y, 0.5 + scale / 2, turn)
        turned = silhouette(shape, 1 - y, x, 0.5 + scale / 2, turn + np.pi / 2)
        assert (turned == np.rot90(lit, -1)).all()
        assert (silhouette(shape, 1 - x, y, 0.5 + scale / 2, -turn) == lit[:, ::-1]).all()


def test_sprites_without_rotation_look_like_the_published_frames() -> None:
    square, ellipse, heart = (silhouette(shape, 0.5, 0.5, 1, 0) for shape in (1, 2, 3))
    assert square.sum(0).max() == square.sum(1).max()
    assert ellipse.any(0).sum() == 26 and ellipse.any(1).sum() == 14
    rows = np.flatnonzero(heart.any(1))
    assert np.count_nonzero(np.diff(heart[rows[0]].astype(int)) == 1) == 2  # two lobes at the top
    assert heart[rows[-1]].sum() <= 3  # a point at the bottom


class Trap:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


AXES = ([1.0], [1.0, 2.0, 3.0], [0.5, 0.75, 1.0], [0.0, 1.0, 2.0, 3.0], [0.0, 0.5, 1.0], [0.25, 0.75])


def small() -> dict[str, Array]:
    """Arrays like those of the published file, with fewer values per factor."""
    latents = np.array(list(itertools.product(*AXES)))
    images = np.array([silhouette(s, x, y, scale, turn) for _, s, scale, turn, x, y in latents], np.uint8)
    classes = np.array(list(itertools.product(*(range(len(axis)) for axis in AXES))))
    return {"imgs": images, "latents_values": latents, "latents_classes": classes}


def write(path: Path, arrays: dict[str, Array], compress: bool = True) -> str:
    (np.savez_compressed if compress else np.savez)(path, **arrays)  # type: ignore[arg-type]
    return str(path)


def test_the_published_layout_is_read_without_its_pickle(tmp_path: Path) -> None:
    arrays = small()
    sprung = tmp_path / "sprung"
    path = write(tmp_path / "d.npz", {**arrays, "metadata": np.array(Trap(sprung), dtype=object)})
    sprites = load_sprites(path)
    for image, (_, shape, scale, turn, x, y) in zip(arrays["imgs"], arrays["latents_values"], strict=True):
        rows, columns, lit = sprites.outline(shape, x, y, scale, np.float32(turn))
        assert (rows, columns) == (slice(0, 64), slice(0, 64)) and (lit == image).all()
    assert sprites.packed.nbytes == len(arrays["imgs"]) * 512
    assert not sprung.exists()
    with np.load(path, allow_pickle=True) as careless:
        assert careless["metadata"] is not None
    assert sprung.exists()  # the pickle would have run


def test_a_pickle_instead_of_the_factors_is_refused_without_loading_it(tmp_path: Path) -> None:
    sprung = tmp_path / "sprung"
    path = write(tmp_path / "d.npz", small() | {"latents_values": np.array(Trap(sprung), dtype=object)})
    with pytest.raises(SchemaError, match=r"d\.npz: 'latents_values' is object\[\]"):
        load_sprites(path)
    assert not sprung.exists()


def test_files_with_other_contents_are_refused(tmp_path: Path) -> None:
    arrays = small()
    latents = arrays["latents_values"]
    for number, (changed, message) in enumerate(
        [
            ({"latents_values": latents[:, :5]}, r"'latents_values' is float64\[216, 5\]"),
            ({"latents_values": latents[:-1]}, "not a grid"),
            ({"latents_values": latents + np.eye(6)[1]}, "not a grid of one colour and shapes 1 to 3"),
            ({"latents_values": latents[::-1]}, "not in the order"),
            ({"imgs": arrays["imgs"][:-1]}, r"'imgs' is uint8\[215, 64, 64\], not uint8\[216, 64, 64\]"),
            ({"imgs": arrays["imgs"].astype(np.int64)}, r"'imgs' is int64"),
            ({"imgs": np.asfortranarray(arrays["imgs"])}, "stored by columns"),
        ]
    ):
        path = write(tmp_path / f"{number}.npz", arrays | changed)
        with pytest.raises(SchemaError, match=message):
            load_sprites(path)
    path = write(tmp_path / "other.npz", {"images": arrays["imgs"]})
    with pytest.raises(SchemaError, match=r"no array 'latents_values', which dSprites has; it contains images\.npy"):
        load_sprites(path)


def test_damage_at_any_place_is_detected(tmp_path: Path) -> None:
    path = write(tmp_path / "d.npz", small())
    intact = Path(path).read_bytes()
    with zipfile.ZipFile(path) as archive:
        members = [archive.getinfo(f"{name}.npy") for name in ("imgs", "latents_values")]
    places = [m.header_offset + 70 + int(share * (m.compress_size - 30)) for m in members for share in (0, 0.3, 0.7, 1)]
    for number, place in enumerate(places):
        flipped = bytearray(intact)
        flipped[place] ^= 0x55
        damaged = tmp_path / f"flipped{number}.npz"
        damaged.write_bytes(flipped)
        with pytest.raises(CorruptDataError, match=r"flipped\d+\.npz: .*download it again"):
            load_sprites(str(damaged))
    stored = bytearray(Path(write(tmp_path / "stored.npz", small(), compress=False)).read_bytes())
    stored[5000] ^= 1  # one pixel of one image, which only the checksum detects
    (tmp_path / "stored.npz").write_bytes(stored)
    with pytest.raises(CorruptDataError, match=r"stored\.npz: .*CRC"):
        load_sprites(str(tmp_path / "stored.npz"))
    cut = tmp_path / "cut.npz"
    cut.write_bytes(intact[: len(intact) // 2])
    with pytest.raises(CorruptDataError, match=r"cut\.npz"):
        load_sprites(str(cut))
    with pytest.raises(SourceError, match=r"absent\.npz: no such file"):
        load_sprites(str(tmp_path / "absent.npz"))


def test_an_array_that_is_longer_than_its_header_says_is_refused(tmp_path: Path) -> None:
    path = Path(write(tmp_path / "d.npz", small()))
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(tmp_path / "long.npz", "w") as longer:
        for name in archive.namelist():
            longer.writestr(name, archive.read(name) + b"\0")
    with pytest.raises(CorruptDataError, match=r"long\.npz: 'latents_values' is longer than its header says"):
        load_sprites(str(tmp_path / "long.npz"))


def test_a_header_that_is_no_expression_is_refused(tmp_path: Path) -> None:
    path = Path(write(tmp_path / "d.npz", small()))
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(tmp_path / "open.npz", "w") as altered:
        for name in archive.namelist():
            altered.writestr(name, OPEN_HEADER)
    with pytest.raises(CorruptDataError, match=r"open\.npz: 'latents_values' does not start with an npy header"):
        load_sprites(str(tmp_path / "open.npz"))
