"""Pixels of masks that mean "ignore", such as the borders in VOC: they are left out of scores, counts and filters."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter
from support import Command, put, scene

SCENES, IGNORED = 3, 255
OF_MASKS = ("ari", "ari-all", "miou", "dice", "mbo", "sc", "msc", "sc-fg", "recovery", "ap", "count-accuracy")


def with_rim(seed: int, objects: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """An image, and a mask whose objects have a rim of one pixel of 255 around them."""
    image, mask = scene(seed, 48, objects)
    grown = np.asarray(Image.fromarray((mask > 0).astype(np.uint8)).filter(ImageFilter.MaxFilter(3))) > 0
    return image, np.where(grown & (mask == 0), IGNORED, mask).astype(np.uint8)


def put_scenes(root: Path, *masks: np.ndarray) -> None:
    for number, mask in enumerate(masks):
        put(root / f"in/images/{number}.png", scene(number)[0])
        put(root / f"in/masks/{number}.png", mask)


def put_guesses(root: Path, *masks: np.ndarray) -> None:
    """The true masks as predictions, with noise where the truth says 255."""
    rng = np.random.default_rng(0)
    for number, mask in enumerate(masks):
        guess = np.where(mask == IGNORED, rng.integers(0, 4, mask.shape), mask)
        put(root / f"found/{number}.png", guess.astype(np.uint8))


def prepared(iodine_kit: Command, *settings: str, split: bool = True) -> list[str]:
    """The data set; if it is refused, those that the remedies make which the message names."""
    base: tuple[str, ...] = ("prepare", "folder", "--source", "in")
    base += ("--split", f"test={SCENES}") if split else ()
    base += tuple(part for setting in settings for part in ("--set", setting))
    try:
        return [iodine_kit(*base).stdout.strip()]
    except AssertionError as error:
        said = str(error)
    remedies = re.findall(r"--set (layout\.\w+=\w+)", said)
    remedies += ["layout.mask_values=colour"] * ("objects apart, colour" in said)
    assert remedies, said
    return [iodine_kit(*base, "--set", remedy).stdout.strip() for remedy in remedies]


def means(iodine_kit: Command, dataset: str, *metrics: str) -> dict[str, float | None]:
    names = [part for name in metrics for part in ("--metric", name)]
    options = ("--set", "import.order=dataset", "--set", "eval.resamples=0", "--json")
    done = iodine_kit("eval", "--predictions", "found", "--dataset", dataset, *names, *options)
    return {name: metric["mean"] for name, metric in json.loads(done.stdout)["metrics"].items()}


def statistics(iodine_kit: Command, root: Path, dataset: str) -> dict[str, object]:
    place = root / iodine_kit("stats", dataset).stdout.strip()
    content: dict[str, object] = json.loads((place / "statistics.json").read_text("utf-8"))["all"]
    return content


def test_a_remedy_of_the_message_leaves_the_rim_out_of_every_score(iodine_kit: Command, tmp_path: Path) -> None:
    masks = [with_rim(number)[1] for number in range(SCENES)]
    put_scenes(tmp_path, *masks)
    put_guesses(tmp_path, *masks)
    found = [means(iodine_kit, dataset, *OF_MASKS) for dataset in prepared(iodine_kit)]
    assert dict.fromkeys(OF_MASKS, 1.0) in found, found


def test_the_border_in_masks_with_the_palette_of_voc_is_no_object(iodine_kit: Command, tmp_path: Path) -> None:
    palette = []
    for index in range(256):
        bits = [sum((index >> (3 * place + channel) & 1) << (7 - place) for place in range(8)) for channel in range(3)]
        palette += bits
    masks = [with_rim(number)[1] for number in range(SCENES)]
    put_scenes(tmp_path, *masks)
    for number, mask in enumerate(masks):
        picture = Image.fromarray(mask)
        picture.putpalette(palette)
        picture.save(tmp_path / f"in/masks/{number}.png")
    put_guesses(tmp_path, *masks)
    dataset = prepared(iodine_kit)[0]
    assert means(iodine_kit, dataset, "miou", "ap", "ari-all") == {"miou": 1.0, "ap": 1.0, "ari-all": 1.0}
    content = statistics(iodine_kit, tmp_path, dataset)
    assert content["objects_per_scene"]["maximum"] == 2  # type: ignore[index]
    assert content["ignored_share"]["mean"] == pytest.approx((np.stack(masks) == IGNORED).mean())  # type: ignore[index]


def test_a_filter_does_not_count_the_rim_as_an_object(iodine_kit: Command, tmp_path: Path) -> None:
    put_scenes(tmp_path, with_rim(0)[1], with_rim(1)[1], with_rim(2, objects=1)[1])
    counts = []
    for dataset in prepared(iodine_kit, "preprocess.max_objects=2", "preprocess.count=pixels", split=False):
        facts = json.loads((tmp_path / dataset / "dataset.json").read_text("utf-8"))
        counts.append(facts["splits"])
    assert {"train": SCENES} in counts, counts


def test_a_scene_of_which_nobody_knows_an_object_has_no_score(iodine_kit: Command, tmp_path: Path) -> None:
    masks = [with_rim(number)[1] for number in range(SCENES)]
    masks[1] = np.full_like(masks[1], IGNORED)
    masks[2] = np.where(masks[2] > 0, IGNORED, 0).astype(np.uint8)
    put_scenes(tmp_path, *masks)
    put_guesses(tmp_path, *masks)
    undefined = []
    for dataset in prepared(iodine_kit):
        options = ("--set", "import.order=dataset", "--set", "eval.resamples=0", "--json")
        done = iodine_kit("eval", "--predictions", "found", "--dataset", dataset, *options)
        metrics = json.loads(done.stdout)["metrics"]
        undefined.append({name: metrics[name]["undefined"] for name in OF_MASKS})
    assert dict.fromkeys(OF_MASKS, 2) in undefined, undefined


def test_masks_that_shrink_keep_the_pixels_to_ignore(iodine_kit: Command, tmp_path: Path) -> None:
    masks = [with_rim(number)[1].repeat(2, 0).repeat(2, 1) for number in range(SCENES)]
    put_scenes(tmp_path, *masks)
    for number in range(SCENES):
        put(tmp_path / f"in/images/{number}.png", scene(number)[0].repeat(2, 0).repeat(2, 1))
    put_guesses(tmp_path, *(mask[::2, ::2] for mask in masks))
    found = [means(iodine_kit, d, "miou", "ap") for d in prepared(iodine_kit, "preprocess.size=48")]
    assert {"miou": 1.0, "ap": 1.0} in found, found
