from __future__ import annotations

import colorsys
import itertools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from iodine_kit.config import build
from iodine_kit.datasets import multi_dsprites
from iodine_kit.datasets._dsprites import NAMES, silhouette
from iodine_kit.errors import ConfigError, SourceError
from iodine_kit.records import Array, Bytes, Scene

VARIANTS = get_args(multi_dsprites.Variant)
PUBLISHED = {"binarized": (2, 3, 4, 1), "colored_on_grayscale": (2, 5, 6, 3), "colored_on_colored": (1, 4, 5, 3)}
"""Fewest and most objects, entities of a record, channels."""


def scene(seed: int = 0, **values: Any) -> Scene:
    return multi_dsprites.generate(multi_dsprites.Config(**values), np.random.default_rng(seed), str(seed))


def objects(one: Scene) -> dict[str, Array]:
    """The factors of the objects, without background and padding."""
    count = int(one.factors["visibility"].sum()) - 1
    return {name: values[1 : 1 + count] for name, values in one.factors.items()}


def redraw(factors: Mapping[str, Array], background: Array) -> tuple[Bytes, Bytes]:
    """Paint a scene in the simplest way, one sprite over the other."""
    image, mask = np.tile(background, (64, 64, 1)).astype(np.uint8), np.zeros((64, 64), np.uint8)
    for index in range(len(factors["x"])):
        sprite = [float(factors[name][index]) for name in ("shape", "x", "y", "scale", "orientation")]
        lit = silhouette(*sprite)
        image[lit], mask[lit] = np.round(255 * factors["color"][index]), index + 1
    return image, mask


def check(one: Scene, entities: int, channels: int) -> None:
    """Check what must hold for every scene drawn by formula."""
    factors, found = one.factors, objects(one)
    count = len(found["x"])
    assert set(factors) == {"x", "y", "shape", "color", "visibility", "orientation", "scale"}
    for name, values in factors.items():
        assert values.dtype == np.float32
        assert values.shape == ((entities, channels) if name == "color" else (entities,))
        assert not values[1 + count :].any() and (name == "visibility" or not values[0].any())
    assert factors["visibility"][: 1 + count].tolist() == [1] * (1 + count)
    assert np.unique(one.mask[one.mask > 0]).tolist() == list(range(1, 1 + count))
    image, mask = redraw(found, one.image[one.mask == 0][0])
    assert (image == one.image).all() and (mask == one.mask).all()


@pytest.mark.parametrize("variant", VARIANTS)
def test_published_files_have_the_features_of_the_official_reader(variant: str) -> None:
    _, most, entities, channels = PUBLISHED[variant]
    config = multi_dsprites.Config(variant=variant)
    fields = multi_dsprites.fields(config)
    assert fields is multi_dsprites.SCHEMAS[f"multi-dsprites {variant}"]
    scalars = dict.fromkeys(("x", "y", "shape", "visibility", "orientation", "scale"), (entities,))
    arrays = {"image": (64, 64, channels), "mask": (64, 64, entities, 1), "color": (entities, channels)}
    assert {name: spec.shape for name, spec in fields.items()} == arrays | scalars
    assert [name for name, spec in fields.items() if spec.dtype is np.uint8] == ["image", "mask"]
    assert multi_dsprites.urls(config)[0].endswith(f"/multi_dsprites/multi_dsprites_{variant}.tfrecords")
    info = multi_dsprites.info(config)
    assert (info.height, info.width, info.entities, info.background) == (64, 64, most + 1, (0,))
    assert info.classes == {"shape": ("none", "square", "ellipse", "heart")}


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_factors_of_a_scene_redraw_it(variant: str) -> None:
    for seed in range(60):
        one = scene(seed, variant=variant)
        check(one, *PUBLISHED[variant][2:])
        if variant == "binarized":
            assert (one.image == 255 * (one.mask > 0)[..., None]).all()
        if variant == "colored_on_grayscale":
            assert np.ptp(one.image[one.mask == 0]) == 0


def test_a_scene_depends_on_its_random_stream_only() -> None:
    first, other, again = scene(3), scene(4), scene(3)
    assert (first.image == again.image).all() and (first.mask == again.mask).all()
    assert not (first.image == other.image).all()


@pytest.mark.parametrize("variant", ["binarized", "colored_on_colored"])
def test_numbers_of_objects_are_equally_likely(variant: str) -> None:
    low, high, *_ = PUBLISHED[variant]
    counts = [len(objects(scene(seed, variant=variant))["x"]) for seed in range(1500)]
    assert set(counts) == set(range(low, high + 1))
    assert stats.chisquare(np.bincount(counts)[low:]).pvalue > 1e-3


@pytest.fixture(scope="module")
def sample() -> tuple[dict[str, Array], list[float], Array]:
    """10,000 scenes on grey: the factors of all objects, the backgrounds, and the scene of each object."""
    scenes = [scene(seed) for seed in range(10_000)]
    each = [objects(one) for one in scenes]
    together = {name: np.concatenate([one[name] for one in each]) for name in each[0]}
    backgrounds = [float(one.image[one.mask == 0][0, 0]) for one in scenes]
    return together, backgrounds, np.repeat(np.arange(len(each)), [len(one["x"]) for one in each])


def test_scenes_on_grey_have_the_published_distribution(sample: tuple[dict[str, Array], list[float], Array]) -> None:
    factors, backgrounds, owner = sample
    counts = np.bincount(np.bincount(owner))
    assert counts[:2].tolist() == [0, 0] and stats.chisquare(counts[2:]).pvalue > 1e-3 and len(counts) == 6
    shapes = np.bincount(factors["shape"].astype(int))
    assert shapes[0] == 0 and stats.chisquare(shapes[1:]).pvalue > 1e-3 and len(shapes) == 4
    # A normal variable exceeds 4 standard deviations once in 10,000 seeds, like a p-value below 1e-4.
    for name, low, width in (("x", 0, 1), ("y", 0, 1), ("scale", 0.5, 0.5), ("orientation", 0, 2 * np.pi)):
        assert stats.kstest(factors[name], stats.uniform(low, width).cdf).pvalue > 1e-4, name
    assert stats.kstest(np.array(backgrounds) / 255, stats.uniform(-1 / 510, 1 + 1 / 255).cdf).pvalue > 1e-4


def test_colours_on_grey_have_the_published_distribution(sample: tuple[dict[str, Array], list[float], Array]) -> None:
    factors, _, owner = sample
    hue, saturation, value = np.array([colorsys.rgb_to_hsv(*map(float, c)) for c in factors["color"]]).T
    for values, low, width in ((hue, 0, 1), (saturation, 0.5, 0.5), (value, 0.5, 0.5)):
        assert low - 1e-6 <= values.min() and values.max() <= low + width + 1e-6
        assert stats.kstest(values, stats.uniform(low, width).cdf).pvalue > 1e-4
    # Share of published scenes with a green square, counted by another project: 0.182648; here 0.18294.
    green_square = (factors["shape"] == 1) & (hue > 0.25) & (hue < 0.42)
    share = len(np.unique(owner[green_square])) / 10_000
    exact = 1 - np.mean([(1 - 0.17 / 3) ** count for count in (2, 3, 4, 5)])
    assert exact == pytest.approx(0.18294, abs=1e-4)
    assert share == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 10_000))


def test_sprites_and_backgrounds_on_colour_are_uniform_in_rgb() -> None:
    scenes = [scene(seed, variant="colored_on_colored") for seed in range(800)]
    colours = np.concatenate([objects(one)["color"] for one in scenes])
    backgrounds = np.array([one.image[one.mask == 0][0] for one in scenes]) / 255
    for channel in range(3):
        assert stats.kstest(colours[:, channel], "uniform").pvalue > 1e-4
        assert stats.kstest(backgrounds[:, channel], stats.uniform(-1 / 510, 1 + 1 / 255).cdf).pvalue > 1e-4
    assert np.abs(np.corrcoef(colours.T) - np.eye(3)).max() < 0.1


def test_later_sprites_occlude_earlier_ones() -> None:
    hidden = 0
    for seed in range(100):
        one = scene(seed)
        factors = [[float(v) for v in row] for row in zip(*(objects(one)[n] for n in ORDER), strict=True)]
        for (i, below), (j, above) in itertools.combinations(enumerate(factors, start=1), 2):
            both = silhouette(*below) & silhouette(*above)
            assert not (one.mask[both] == i).any()
            hidden += (one.mask[both] == j).any()
    assert hidden > 50


ORDER = ("shape", "x", "y", "scale", "orientation")
unit = st.tuples(st.floats(0, 1), st.floats(0, 1)).map(lambda pair: tuple(sorted(pair)))


@settings(max_examples=60)
@given(
    st.sampled_from(VARIANTS),
    st.integers(1, 9),
    st.integers(0, 3),
    st.lists(st.sampled_from(NAMES[1:]), unique=True).map(tuple),
    unit,
    unit,
    st.sampled_from([(0.3, 0.3), (0.2, 0.6), (0.5, 1.0), (0.9, 1.1)]),
    st.integers(0, 2**32),
)
def test_options_are_respected(
    variant: str,
    fewest: int,
    more: int,
    shapes: tuple[str, ...],
    hue: tuple[float, float],
    value: tuple[float, float],
    scale: tuple[float, float],
    seed: int,
) -> None:
    colours = {} if variant == "binarized" else {"hue": hue, "value": value, "saturation": (0.25, 0.75)}
    config = multi_dsprites.Config(
        variant=variant, min_objects=fewest, max_objects=fewest + more, shapes=shapes, scale=scale, **colours
    )
    one = multi_dsprites.generate(config, np.random.default_rng(seed), "k")
    _, _, entities, channels = PUBLISHED[variant]
    check(one, max(entities, fewest + more + 1), channels)
    info, found = multi_dsprites.info(config), objects(one)
    assert info.entities == len(one.factors["x"])
    assert fewest <= len(found["x"]) <= fewest + more
    names = {info.classes["shape"][int(shape)] for shape in found["shape"]}
    assert names <= set(shapes or ("square", "ellipse", "heart"))
    assert (found["scale"] >= np.float32(scale[0])).all() and (found["scale"] <= np.float32(scale[1])).all()
    if colours and value[0] > 0.01:
        hsv = np.array([colorsys.rgb_to_hsv(*map(float, c)) for c in found["color"]])
        for column, (low, high) in zip(hsv.T[1:], ((0.25, 0.75), value), strict=True):
            assert (column > low - 1e-5).all() and (column < high + 1e-5).all()
        assert (np.abs((hsv[:, 0] - sum(hue) / 2 + 0.5) % 1 - 0.5) <= (hue[1] - hue[0]) / 2 + 1e-5).all()


@pytest.mark.parametrize("options", [{"max_occlusion": 0.0}, {"max_occlusion": 0.3}, {"min_visible": 40}])
def test_occlusion_is_limited(options: dict[str, Any]) -> None:
    for seed in range(60):
        one = scene(seed, min_objects=4, scale=(0.5, 0.8), **options)
        for index, sprite in enumerate(zip(*(objects(one)[name] for name in ORDER), strict=True), start=1):
            whole, shown = silhouette(*map(float, sprite)).sum(), (one.mask == index).sum()
            assert shown >= options.get("min_visible", 1)
            assert shown >= (1 - options.get("max_occlusion", 1.0)) * whole


def test_the_interval_of_hues_may_exceed_one_turn() -> None:
    colours = np.concatenate([objects(scene(seed, hue=(0.95, 1.05)))["color"] for seed in range(30)])
    assert (colours.argmax(1) == 0).all() and len(np.unique(colours[:, 1:].argmax(1))) == 2


def test_objects_that_do_not_fit_are_an_error() -> None:
    with pytest.raises(ConfigError, match=r"20 objects did not fit .* lower dataset\.max_objects"):
        scene(min_objects=20, max_objects=20, scale=(1.5, 2.0), max_occlusion=0.0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"variant": "coloured"}, "dataset.variant: input should be 'binarized', 'colored_on_grayscale' or"),
        ({"min_objects": 7}, "min_objects 7 is greater than max_objects 5: set both"),
        ({"max_objects": 0}, "dataset.max_objects: input should be greater than or equal to 1 (given: 0)"),
        ({"shapes": ["hart"]}, "no shape is called 'hart'; did you mean 'heart'? (given: ['hart'])"),
        ({"shapes": ["ring", "ring"]}, "give every shape once"),
        ({"scale": [0.9, 0.5]}, "dataset.scale: the lower end 0.9 is greater than the upper end 0.5"),
        ({"saturation": [0.5, 1.5]}, "dataset.saturation.1: input should be less than or equal to 1"),
        ({"hue": [0.2, 1.4]}, "hue covers more than one turn"),
        ({"variant": "binarized", "hue": [0, 1]}, "binarized sprites are white"),
        ({"sprites": "d.npz", "shapes": ["ring"]}, "has only square, ellipse, heart"),
        ({"max_object": 3}, "dataset.max_object is not a known key; did you mean 'max_objects'?"),
    ],
)
def test_a_wrong_option_is_explained(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        build(multi_dsprites.Config, values, "dataset")


@pytest.fixture(scope="module")
def npz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small file in the published layout whose sprites are marked: every second column is dark."""
    axes = ([1.0], [1.0, 2.0, 3.0], [0.5, 0.7, 1.0], [0.0, 2.0, 4.0], [0.0, 0.5, 1.0], [0.0, 1.0])
    latents = np.array(list(itertools.product(*axes)))
    images = np.array([silhouette(s, x, y, scale, turn) for _, s, scale, turn, x, y in latents], np.uint8)
    images[..., ::2] = 0
    path = tmp_path_factory.mktemp("npz") / "dsprites.npz"
    np.savez_compressed(path, imgs=images, latents_values=latents)
    return path


def test_sprites_of_the_published_file_are_used_unchanged(npz: Path) -> None:
    assert not scene(sprites=str(npz)).mask[:, ::2].any()
    seen = set()
    for seed in range(100):
        one = scene(seed, sprites=str(npz), variant="colored_on_colored", scale=(0.5, 0.7), max_objects=1)
        (sprite,) = zip(*(objects(one)[name] for name in ORDER), strict=True)
        lit = silhouette(*(round(float(value), 4) for value in sprite))
        lit[:, ::2] = False
        assert (lit == (one.mask == 1)).all()
        seen.add(sprite[:1] + sprite[3:])
    assert len(seen) == 3 * 2 * 3  # all shapes, scales within the interval, and orientations


def test_an_unsuitable_sprite_file_is_named_in_the_error(npz: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"dsprites\.npz: none of its scales .* is within dataset\.scale = \[0\.8, 0\.9\]"
    ):
        scene(sprites=str(npz), scale=(0.8, 0.9))
    with pytest.raises(SourceError, match=r"absent\.npz: no such file; dataset\.sprites"):
        scene(sprites=str(npz.with_name("absent.npz")))
