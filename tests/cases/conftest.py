"""Every test of this folder starts the command line at least once, so each of them is slow."""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder; the hook receives those of all folders."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.slow)
