"""Every published layout, prepared in every format: the stored scenes are those of the published file."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
from fakes._reading import different

from iodine_kit.artifacts.dataset import open_split
from iodine_kit.formats import FORMATS, Reader
from iodine_kit.layouts import LAYOUTS
from iodine_kit.runner import Context, run_stage
from iodine_kit.stages import prepare
from iodine_kit.store import Artifact, Store


def prepared(fake: Any, format_name: str, layout: str, store: Path) -> Artifact:
    own = LAYOUTS.load(layout).OWN_SPLITS
    counts = {} if own else {"train": len(fake.truth) - 1, "unseen": 1}
    values: dict[str, Any] = {"dataset": fake.dataset, "source": str(fake.source), "format": format_name}
    tables = {
        "prepare": {**values, "split": counts},
        "dataset": fake.config,
        "preprocess": {"crop": "none", "size": None},
        "format": {"scenes_per_shard": 2},
    }
    place = Store(store)
    return run_stage(prepare, tables, {}, Context(place))


def scenes_of(artifact: Artifact) -> list[tuple[str, Any]]:
    readers: dict[str, Reader] = {split: open_split(artifact, split) for split in artifact.facts["splits"]}
    return [(split, readers[split].scene(index)) for split in sorted(readers) for index in range(len(readers[split]))]


@pytest.mark.parametrize("layout", LAYOUTS.names())
def test_stored_scenes_are_those_that_were_published(layout: str, tmp_path: Path) -> None:
    folder = tmp_path / "source"
    folder.mkdir()
    fake = importlib.import_module(f"fakes.{layout.replace('-', '_')}").make(folder)
    stored = {name: scenes_of(prepared(fake, name, layout, tmp_path / name)) for name in FORMATS.names()}
    expected = sorted(((truth.split, truth) for truth in fake.truth), key=lambda pair: pair[0])
    for scenes in stored.values():
        assert len(scenes) == len(expected)
        for (split, scene), (published_in, truth) in zip(scenes, expected, strict=True):
            assert not different(scene, truth)
            assert not published_in or split == published_in
    first, *others = stored.values()
    for scenes in others:
        for (split, scene), (other_split, other) in zip(first, scenes, strict=True):
            assert (split, scene.key) == (other_split, other.key) and scene.factors.keys() == other.factors.keys()
            assert all((scene.factors[name] == other.factors[name]).all() for name in scene.factors)
