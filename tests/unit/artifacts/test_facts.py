"""Facts of artifacts as types: every recorded fact has a field, and what does not fit is one sentence."""

from __future__ import annotations

import tarfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from iodine_kit.artifacts.dataset import DatasetFacts
from iodine_kit.artifacts.predictions_and_truth import PredictionsFacts
from iodine_kit.artifacts.run import RunFacts
from iodine_kit.errors import SchemaError
from iodine_kit.store import Artifact, ArtifactFacts, Identity, Store
from iodine_kit.store.provenance import provenance

RECORDED = Path(__file__).parents[2] / "data" / "recorded_store.tar.xz"
KINDS: dict[str, type[ArtifactFacts]] = {"dataset": DatasetFacts, "run": RunFacts, "predictions": PredictionsFacts}


def artifact(root: Path, kind: str, facts: dict[str, Any]) -> Artifact:
    with Store(root).draft(Identity(kind=kind, name="a", stage="s", version=1)) as draft:
        return draft.commit(facts, provenance(datetime.now(UTC)))


def unknown(facts: BaseModel, place: str = "") -> list[str]:
    """Dotted names of facts that no field describes."""
    names = [f"{place}{name}" for name in facts.model_extra or {}]
    for name in type(facts).model_fields:
        value = getattr(facts, name)
        if isinstance(value, BaseModel):
            names += unknown(value, f"{place}{name}.")
    return names


@pytest.mark.parametrize("kind", KINDS)
def test_every_recorded_fact_has_a_field_and_its_value(tmp_path: Path, kind: str) -> None:
    with tarfile.open(RECORDED) as archive:
        archive.extractall(tmp_path, filter="data")
    recorded = Store(tmp_path / "data").newest(kind, "")
    facts = KINDS[kind].of(recorded)
    assert unknown(facts) == []
    dumped = facts.model_dump(mode="json", by_alias=True, exclude_unset=True)
    assert {name: dumped[name] for name in recorded.facts if name != "info"} == {
        name: value for name, value in recorded.facts.items() if name != "info"
    }


def test_a_fact_that_is_missing_or_of_another_type_is_named(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match=r"the manifest of this run does not fit: facts.steps: field required"):
        RunFacts.of(artifact(tmp_path, "run", {"parameters": 3}))
    with pytest.raises(SchemaError, match=r"facts.splits.train: input should be a valid integer"):
        info = {"dataset": "d", "height": 2, "width": 2, "entities": 2, "background": [0], "classes": {}}
        facts = {"info": info, "format": "hdf5", "splits": {"train": "many"}}
        DatasetFacts.of(artifact(tmp_path, "dataset", facts))


def test_facts_of_another_version_are_kept(tmp_path: Path) -> None:
    facts = PredictionsFacts.of(artifact(tmp_path, "predictions", {"scenes": 3, "split": "test", "mood": "good"}))
    assert (facts.scenes, facts.restarts, facts.model_extra) == (3, 1, {"mood": "good"})
