"""The preset that training uses when the configuration names none."""

from __future__ import annotations

from pathlib import Path

import pytest
from unit.stages.artifact_builders import block_scenes, store_scenes
from unit.training.toy_model import Notes

from iodine_kit.models.iodine import IodineConfig
from iodine_kit.records import DatasetInfo
from iodine_kit.runner import Context
from iodine_kit.stages import train
from iodine_kit.store import Store

SMALL = {"decoder": {"kernel": 3, "patch": 1}, "refinement": {"kernel": 3, "channels": [4], "stride": 1}}


def planned(root: Path, dataset: str) -> tuple[dict[str, object], list[str]]:
    """The configuration of the model for a data set of that name, and the notes of planning."""
    notes = Notes()
    artifact = store_scenes(root, {"train": block_scenes(4)}, DatasetInfo(dataset, 0, 0, 2))
    job = train.plan(
        {"model": SMALL, "train": {"batch_size": 2}}, {"dataset": artifact}, Context(Store.of(artifact), notes)
    )
    return dict(job.identity.config["model"]), notes.texts


@pytest.mark.parametrize(
    ("dataset", "preset"),
    [
        ("tetrominoes", "release-tetrominoes"),
        ("multi-dsprites", "release-multi-dsprites"),
        ("clevr", "release-clevr6"),
    ],
)
def test_a_published_data_set_has_the_preset_of_its_release(tmp_path: Path, dataset: str, preset: str) -> None:
    values, notes = planned(tmp_path, dataset)
    expected = IodineConfig.model_validate({"preset": preset, **SMALL}).model_dump(mode="json")
    assert values == {"name": "iodine", **expected}
    assert notes == [f"model: preset {preset} (choose with --set model.preset=NAME)"]


@pytest.mark.parametrize("dataset", ["multi", "tetr", "c", "clevr6", "blocks"])
def test_a_data_set_of_another_name_has_none_even_if_it_begins_like_a_published_one(
    tmp_path: Path, dataset: str
) -> None:
    values, notes = planned(tmp_path, dataset)
    assert values == {"name": "iodine", **IodineConfig.model_validate(SMALL).model_dump(mode="json")}
    assert notes == []
