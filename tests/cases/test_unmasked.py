"""Data sets without masks know that they have none."""

from __future__ import annotations

import json
from pathlib import Path

from support import Command, put, scene


def test_a_folder_without_masks_says_so_in_its_description(iodine_kit: Command, tmp_path: Path) -> None:
    for number in range(4):
        put(tmp_path / f"in/{number}.png", scene(number)[0])
    made = iodine_kit("prepare", "folder", "--source", "in")
    facts = json.loads((tmp_path / made.stdout.strip() / "dataset.json").read_text("utf-8"))
    assert facts["unmasked"] == ["train"]
