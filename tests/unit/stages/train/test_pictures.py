from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import torch

from iodine_kit.models import Inference
from iodine_kit.records import SceneBatch
from iodine_kit.reporting.colours import BACKGROUND, PALETTE
from iodine_kit.stages.train import draw_curves
from iodine_kit.stages.train.validation import scenes_picture
from iodine_kit.training.run_files import CURVES


def test_the_first_scenes_are_pictured_with_every_decode() -> None:
    mask = np.zeros((3, 96, 96), np.uint8)
    mask[:, :40, :40] = 1
    batch = SceneBatch(("a", "b", "c"), np.full((3, 96, 96, 3), 7, np.uint8), mask)
    found = torch.from_numpy(1 - mask)  # slot 0 has the object
    inference = Inference(
        step_mask_BSHW=torch.stack([torch.ones_like(found), found], 1),
        mask_BKHW=torch.zeros(3, 2, 96, 96), mean_BKCHW=torch.zeros(3, 2, 3, 96, 96),
        reconstruction_BCHW=torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1).expand(3, 3, 96, 96).bfloat16(),
        loc_BKZ=torch.zeros(3, 2, 1), scale_BKZ=torch.ones(3, 2, 1), nll_BS=torch.zeros(3, 2), kl_BS=torch.zeros(3, 2),
    )  # fmt: skip
    picture = scenes_picture(batch, inference, count=2)
    assert picture.shape == (16 + 2 * 100 + 4, 5 * 100 + 4, 3)
    at = [picture[26, 100 * column + 10].tolist() for column in range(5)]
    object_, background = PALETTE[0].tolist(), BACKGROUND.tolist()
    assert at == [[7, 7, 7], object_, background, object_, [255, 0, 0]]


def test_curves_lie_beside_the_log(tmp_path: Path) -> None:
    rows = [{"step": step, "loss": 1.0 / step} for step in range(1, 9)]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    draw_curves(tmp_path, "Training of a & b")
    picture = ElementTree.parse(tmp_path / CURVES)
    assert "Training of a & b" in [element.text for element in picture.iter()]
