"""The manual shows what prepare and inspect print about a folder of pictures."""

from __future__ import annotations

import shutil
from pathlib import Path

from support import Command, put, scene

MANUAL = Path(__file__).parents[2] / "docs" / "data.md"


def _shown(command: str) -> list[list[str]]:
    """The lines below every occurrence of a command in the manual, to the next command or the end of the block."""
    blocks = MANUAL.read_text("utf-8").split(f"$ {command}\n")[1:]
    return [block.split("```")[0].split("$ ")[0].splitlines() for block in blocks]


def test_the_manual_shows_real_output(iodine_kit: Command, tmp_path: Path) -> None:
    root = tmp_path / "my_images"
    for number in range(1, 13):
        image, mask = scene(number, size=64)
        split = root / ("train" if number < 10 else "valid")
        put(split / "images" / f"{number}.jpg", image)
        put(split / "labels" / f"{number}.png", mask)
    put(root / "preview.gif", image)
    (root / "notes.txt").write_text("words")
    inspected, asked = _shown("iodine-kit inspect my_images")
    (prepared,) = _shown("iodine-kit prepare folder --source my_images")

    def words(lines: list[str]) -> list[str]:
        return [line for line in lines if not line.startswith(("24 files", "reading 24 files"))]  # sizes of JPEG differ

    assert words(iodine_kit("inspect", "my_images").stdout.splitlines()) == words(inspected)
    said = iodine_kit("prepare", "folder", "--source", "my_images").stderr.splitlines()
    assert words(said)[: len(words(prepared))] == words(prepared)
    shutil.copytree(root / "train" / "labels", root / "train" / "masks")
    assert iodine_kit("inspect", "my_images", status=7).stderr.splitlines() == asked
