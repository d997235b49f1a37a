"""The names of evaluations that a report compares: those of the settings that differ, as a matrix calls its members."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from iodine_kit.evaluation.facts import ComparisonFacts
from iodine_kit.stages.report.compared import Compared, compared_evaluations
from iodine_kit.store import Artifact, Identity, Store


def made(store: Store, kind: str, facts: dict[str, Any], inputs: dict[str, Artifact], **config: Any) -> Artifact:
    references = {role: artifact.reference for role, artifact in inputs.items()}
    identity = Identity(kind=kind, name="net-data", stage="x", version=1, config=config, inputs=references)
    with store.draft(identity) as draft:
        return draft.commit(facts, {"finished": "2026-01-01T00:00:00+00:00"})


def compared(
    store: Store, settings: list[dict[str, Any]], models: dict[str, list[int]], imported: bool = False
) -> tuple[list[Compared], ComparisonFacts]:
    """Evaluations of runs with these settings; ``models`` has the places of the evaluations of each."""
    chain: dict[str, Artifact] = {}
    for place, one in enumerate(settings, 1):
        model = {key: value for key, value in one.items() if key != "seed"}
        trained = {} if imported else {"train": {"seed": one["seed"], "steps": 5}, "model": model}
        run = {"run": made(store, "run", {}, {}, **trained)} if trained else {}
        predictions = made(store, "predictions", {}, run, infer={"steps": 2, "place": place} if imported else {})
        evaluation = made(store, "evaluation", {}, {"predictions": predictions})
        number = f"-{place}" if place > 1 else ""
        chain |= {f"predictions{number}": predictions, f"evaluation{number}": evaluation}
        chain |= run if place == 1 else {}
    evaluations = [one.reference.directory for role, one in chain.items() if role.startswith("evaluation")]
    metrics = {"ari": {"mean": 0.5, "sd": None, "interval": None, "n": 4, "by_seed": [0.5]}}
    facts = {
        "dataset": "d", "split": "test", "scenes": 4, "resolution": [6, 6], "convention": "exclude",
        "bootstrap": {"level": 0.95, "resamples": 0, "seed": 0, "method": ""},
        "test": {"method": "", "flips": 1, "seed": 0}, "metrics": {}, "pairs": [], "left_out": {},
        "models": [
            {"name": name, "evaluations": [evaluations[i] for i in places], "resize": "",
             "seeds": [settings[i]["seed"] for i in places], "metrics": metrics}
            for name, places in models.items()
        ],
    }  # fmt: skip
    found, comparison = compared_evaluations({**chain, "comparison": made(store, "comparison", facts, {})}, store)
    assert comparison is not None
    return found, comparison


@pytest.mark.parametrize(
    ("models", "names", "called"),
    [
        (
            {"net-data (beta 1)": [0, 2], "net-data (beta 4)": [1]},
            ["seed=0, beta=1", "seed=0, beta=4", "seed=1, beta=1"],
            ["beta=1", "beta=4"],
        ),
        (
            {"ours": [0, 2], "theirs": [1]},
            ["ours, seed=0", "theirs", "ours, seed=1"],
            ["ours", "theirs"],
        ),
    ],
)
def test_evaluations_are_named_by_what_differs_unless_the_user_named_the_models(
    tmp_path: Path, models: dict[str, list[int]], names: list[str], called: list[str]
) -> None:
    settings = [{"beta": 1, "seed": 0}, {"beta": 4, "seed": 0}, {"beta": 1, "seed": 1}]
    found, facts = compared(Store(tmp_path), [{**one, "slots": 3} for one in settings], models)
    assert [one.name for one in found] == names and [model.name for model in facts.models] == called
    assert [set(one.chain) for one in found] == [{"run", "predictions", "evaluation"}] * 3


def test_the_name_of_seeds_alone_keeps_that_of_the_model(tmp_path: Path) -> None:
    found, facts = compared(Store(tmp_path), [{"seed": 0}, {"seed": 1}], {"net-data": [0, 1]})
    assert [one.name for one in found] == ["seed=0", "seed=1"]
    assert [model.name for model in facts.models] == ["net-data"]


def test_names_are_distinct_for_imported_predictions_of_one_model(tmp_path: Path) -> None:
    found, _ = compared(Store(tmp_path), [{"seed": None}] * 2, {"theirs": [0, 1]}, imported=True)
    assert len({one.name for one in found}) == 2 and all(one.name.startswith("theirs") for one in found)
    assert all("run" not in one.chain for one in found)
