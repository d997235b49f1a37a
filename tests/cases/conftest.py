"""Every test of this folder starts the command line at least once, so each of them is slow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import pytest
from numpy.typing import NDArray
from support import Command

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder; the hook receives those of all folders."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.slow)


@pytest.fixture
def tiny(iodine_kit: Command, tmp_path: Path) -> tuple[str, dict[str, NDArray[Any]]]:
    """A small data set, and predictions of its test split that are the true masks."""
    counts = ("--generate", 10, "--split", "train=6", "--split", "test=4", "--set", "dataset.cell=2")
    made = iodine_kit("prepare", "tetrominoes", *counts, "--store", "store").stdout.strip()
    with h5py.File(tmp_path / made / "test.h5") as file:
        return made, {"mask": file["mask"][:], "key": file["key"].asstr()[:].astype("U")}
