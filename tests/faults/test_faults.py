"""Short forms of what ``make hammer`` does at length: refused operations, damaged files, edited manifests."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from faults.damage import edit_manifest, hit_artifact, hit_draft
from faults.losses import Losses
from faults.refusals import refuse
from faults.stage_commands import StageCommands

pytestmark = pytest.mark.slow
CHEAP = {
    "disk full": ("prepare, HDF5", "infer", "traverse", "pack"),
    "permission lost": ("prepare, WebDataset", "eval", "import-predictions", "tag"),
}
"""Commands that end fast; the long form tries all."""


@pytest.mark.parametrize("trouble", CHEAP)
def test_a_command_whose_operations_are_refused_ends_in_one_sentence_and_can_be_repeated(
    trouble: str, stages: StageCommands, tmp_path: Path
) -> None:
    losses = Losses("refuse", trouble)
    for name in CHEAP[trouble]:
        refuse(stages, stages[name], trouble, random.Random(name), tmp_path, losses)
    assert losses.tried == len(CHEAP[trouble]) and losses.lost == []


def test_a_damaged_file_is_found_or_harmless(stages: StageCommands, tmp_path: Path) -> None:
    losses = Losses("damage", "any")
    for name, damage in zip(("eval", "traverse", "stats"), ("deleted", "cut", "flipped"), strict=True):
        draw, place = random.Random(name), stages[name].made[0]
        files = sorted(path for path in (stages.base / place).rglob("*") if path.is_file())
        file = draw.choice(files).relative_to(stages.base / place).as_posix()
        hit_artifact(stages, place, file, damage, draw, tmp_path, losses, large=damage == "flipped")
    assert losses.lost == []


def test_a_damaged_draft_resumes_to_the_same_bytes_or_is_refused(stages: StageCommands, tmp_path: Path) -> None:
    losses = Losses("draft", "any")
    for number, name in enumerate(("prepare, HDF5", "infer")):
        hit_draft(stages, stages[name], random.Random(number), tmp_path, losses)
    assert losses.lost == []


def test_an_edited_manifest_is_found_or_harmless(stages: StageCommands, tmp_path: Path) -> None:
    losses = Losses("manifest", "any")
    for number, name in enumerate(("traverse", "stats")):
        edit_manifest(stages, stages[name].made[0], random.Random(number), tmp_path, losses)
    assert losses.tried == 2 and losses.lost == []
