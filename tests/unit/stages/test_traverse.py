from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from support import TINY, Command

from iodine_kit.config import build
from iodine_kit.errors import CountError
from iodine_kit.evaluation.probing.slots import owned_shares
from iodine_kit.models import iodine
from iodine_kit.models.iodine.decode_step import scale_of
from iodine_kit.models.iodine.model import draw_noise
from iodine_kit.stages.traverse import TraverseConfig, moves, places, sharpest

LATENT, SLOTS = 3, 4


def model() -> Any:
    values = {"preset": "release-tetrominoes", "steps": 1, "latent": LATENT, "gradient_reduction": "per-image"}
    return iodine.build(build(iodine.Config, values, "model"), seed=0).requires_grad_(False)


def test_decoding_a_sample_draws_what_inference_draws_from_it() -> None:
    net, images = model(), torch.rand(2, 3, 9, 7, generator=torch.Generator().manual_seed(1))
    seen = net.infer(images, torch.Generator().manual_seed(5), slots=SLOTS, steps=0)
    noise = draw_noise(torch.Generator().manual_seed(5), 1, slice(0, 8), 8, LATENT, torch.float32)[0]
    loc, raw = net.initial.chunk(2)
    latents = (loc + scale_of(raw, net.config.posterior_scale) * noise).view(2, SLOTS, LATENT)
    mask, mean = net.decode(latents, 9, 7)
    assert_allclose(mask, seen.mask_BKHW, atol=1e-6)
    assert_allclose(mean, seen.mean_BKCHW, atol=1e-6)


def test_one_number_of_one_slot_is_moved_at_a_time() -> None:
    rng = np.random.default_rng(0)
    loc = rng.normal(size=(SLOTS, LATENT)).astype(np.float32)
    values = np.array([[10.0, 20.0], [30.0, 40.0]], np.float32)
    moved = moves(loc, 2, np.array([1, 0]), values).reshape(2, 2, SLOTS, LATENT)
    for d, dimension in enumerate((1, 0)):
        for v in range(2):
            expected = loc.copy()
            expected[2, dimension] = values[d, v]
            assert (moved[d, v] == expected).all()


def test_dimensions_that_tell_most_come_first_and_are_moved_about_their_mean() -> None:
    rng = np.random.default_rng(0)
    loc = rng.normal([1.0, 2.0, 3.0], [0.1, 4.0, 1.0], (500, 3)).astype(np.float32)
    scale = np.full((500, 3), 0.5, np.float32)
    dimensions, values = places(loc, scale, TraverseConfig(dimensions=2, values=3, range=2.0))
    assert dimensions.tolist() == [1, 2]
    for dimension, row in zip(dimensions, values, strict=True):
        mean, std = loc[:, dimension].mean(), loc[:, dimension].std()
        assert_allclose(row, [mean - 2 * std, mean, mean + 2 * std], rtol=1e-4)


def test_of_the_slots_that_own_a_pixel_the_sharpest_is_moved() -> None:
    masks = np.array([[[0, 2]], [[1, 1]]], np.uint8)
    used = owned_shares(masks, 3) > 0
    assert used.tolist() == [[True, False, True], [False, True, False]]
    scale = np.array([[[1.0], [0.1], [0.5]], [[0.1], [1.0], [0.1]]], np.float32)
    assert sharpest(scale, used).tolist() == [2, 1]


@pytest.mark.slow
def test_traversals_from_the_command_line(iodine_kit: Command, tmp_path: Path) -> None:
    iodine_kit(
        "prepare",
        "tetrominoes",
        "--generate",
        "12",
        "--split",
        "train=8",
        "--split",
        "test=4",
        "--set",
        "dataset.cell=1",
    )
    iodine_kit("train", "--set", "train.steps=2", *TINY)
    iodine_kit("infer", "--set", "infer.batch_size=4")
    done = iodine_kit(
        "traverse", "--set", "traverse.scenes=2", "--set", "traverse.dimensions=2", "--set", "traverse.values=3"
    )
    with h5py.File(tmp_path / done.stdout.strip() / "traversals.h5") as file:
        assert file["component"].shape == file["blend"].shape == (2, 2, 3, 7, 7, 3)
        assert file["key"][0].decode() == "test-00000000" and file["offset"][:].tolist() == [-2, 0, 2]
    refused = iodine_kit("traverse", "--set", "traverse.dimensions=9", status=CountError.exit_status)
    assert "traverse.dimensions=9, but there are only 3" in refused.stderr
