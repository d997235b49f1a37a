"""What inspect says about a path, and what it reads for that."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from iodine_kit.errors import StorageError
from iodine_kit.layouts import LAYOUTS, addtt, clevr_v1, oclf
from iodine_kit.stages.prepare.inspect import inspect
from iodine_kit.stages.prepare.plan import recognised


def _refuse(path: Path) -> bool:
    raise StorageError(f"{path}: cannot be read ({os.strerror(errno.EACCES)}); check it")


def test_a_layout_that_the_system_keeps_from_looking_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / "1.png")
    monkeypatch.setattr(addtt, "recognises", _refuse)
    assert inspect(tmp_path, {}).facts["layout"] == "folder"
    (tmp_path / "1.png").unlink()
    with pytest.raises(StorageError, match="cannot be read"):
        inspect(tmp_path, {})
    assert recognised(tmp_path, [name for name in LAYOUTS.names() if name != "addtt"]) == ""


def test_splits_are_counted_only_where_no_record_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = []

    def items(paths: Any, expected: Any, config: Any) -> Any:
        for number in range(5):
            read.append(number)
            yield oclf.Item(str(number), {}, "train")

    monkeypatch.setattr(oclf, "recognises", lambda path: path == tmp_path)
    monkeypatch.setattr(oclf, "files", lambda paths, config: [])
    monkeypatch.setattr(oclf, "items", items)
    monkeypatch.setattr(oclf, "scenes", lambda *arguments: [])
    found = inspect(tmp_path, {"prepare": {"layout": "oclf"}})
    assert "dataset" in found.facts and "splits" not in found.facts
    assert read == [0]


def test_images_without_a_split_have_no_line_of_splits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clevr_v1, "READS_NAMES", True, raising=False)
    monkeypatch.setattr(clevr_v1, "files", lambda paths, config: [])
    items = [clevr_v1.Item(name, None) for name in "ab"]
    monkeypatch.setattr(clevr_v1, "items", lambda paths, expected, config: iter(items))
    monkeypatch.setattr(clevr_v1, "scenes", lambda *arguments: [])
    found = inspect(tmp_path, {"prepare": {"layout": "clevr-v1"}})
    assert "splits" not in found.facts and not [line for line in found.lines if "splits" in line]


def test_splits_of_names_are_counted(tmp_path: Path) -> None:
    for name in ("train", "val"):
        np.save(tmp_path / f"{name}_images.npy", np.zeros((3, 64, 64, 3), np.uint8))
        np.save(tmp_path / f"{name}_masks.npy", np.zeros((3, 64, 64, 1), np.uint8))
    found = inspect(tmp_path, {"prepare": {"layout": "npy"}})
    assert found.facts["splits"] == {"train": 3, "val": 3} and "splits train 3, val 3" in found.lines
