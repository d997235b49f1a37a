"""Layouts that pass over records yield the same ones as without passing over any."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iodine_kit.datasets import DATASETS
from iodine_kit.errors import CorruptDataError
from iodine_kit.layouts import LAYOUTS, Item, numbered_items
from iodine_kit.stages.prepare.plan import expected_of

RECORDS = 9
VARIANTS = [
    ("multi-object-datasets", {"compression": "plain"}),
    ("multi-object-datasets", {}),
    ("oclf", {"dataset": "tetrominoes"}),
    ("folder", {}),
]


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Any, ...]]:
    """Layout, paths, expected data set and options of each variant."""
    found = []
    for name, variant in VARIANTS:
        layout = LAYOUTS.load(name)
        fake = importlib.import_module(f"fakes.{layout.__name__.rpartition('.')[2]}").make(
            tmp_path_factory.mktemp("source"), RECORDS, **variant
        )
        config = DATASETS.load(fake.dataset).Config()
        found.append((layout, [fake.source], expected_of(fake.dataset, config, published=True), layout.Config()))
    return found


@given(variant=st.integers(0, len(VARIANTS) - 1), wanted=st.sets(st.integers(0, RECORDS)))
def test_the_wanted_records_are_those_of_all(variant: int, wanted: set[int], sources: list[tuple[Any, ...]]) -> None:
    layout, *arguments = sources[variant]
    asked = []

    def choose(number: int, item: Item | None) -> bool:
        asked.append(number)
        return number in wanted

    every = dict(enumerate(layout.items(*arguments)))
    assert dict(numbered_items(layout, *arguments, choose)) == {number: every[number] for number in wanted - {RECORDS}}
    assert asked == list(range(RECORDS))


def test_a_file_that_ends_in_a_record_that_is_passed_over_is_refused(sources: list[tuple[Any, ...]]) -> None:
    for layout, (source,), *rest in sources[:3]:
        files: list[Path] = layout.files([source], rest[1])
        path = files[-1]
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 4])
        with pytest.raises(CorruptDataError, match=path.name):
            list(numbered_items(layout, [source], *rest, lambda number, item: False))
        path.write_bytes(whole)
