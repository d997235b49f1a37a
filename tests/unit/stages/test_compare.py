"""Comparisons: which evaluations are one model, what does not compare, and the figures against scipy's."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from unit.stages.foreseen import store_masks, store_predictions
from unit.stages.test_evaluate import evaluated, guesses, true_masks

from iodine_kit.artifacts.evaluations import read_scores
from iodine_kit.errors import ConfigError, SchemaError
from iodine_kit.runner import Context, obtain
from iodine_kit.stages import compare, evaluate
from iodine_kit.store import Artifact, Store
from iodine_kit.training.config import TrainConfig

SHORT = {"steps": 10, "rate": 0.1}
LONG = {"steps": 99, "rate": 0.1}


def compared(root: Path, *evaluations: Artifact, **values: Any) -> Artifact:
    job = compare.plan({"compare": values}, compare.numbered(evaluations), Context(Store(root)))
    return obtain(job, Context(Store(root)))


class Bench:
    """A data set and evaluations on it; ``noise`` is the seed of a model's mistakes."""

    def __init__(self, root: Path) -> None:
        self.root, self.truth = root, true_masks()
        self.dataset = store_masks(root, self.truth)

    def of_run(self, train: dict[str, Any], seed: int, noise: int, **values: Any) -> Artifact:
        train = {**train, "seed": seed}
        made = store_predictions(self.root, self.dataset, guesses(self.truth, noise), train=train)
        return evaluated(self.root, made, self.dataset, metrics=["ari", "miou"], **values)

    def imported(self, model: str, noise: int) -> Artifact:
        made = store_predictions(self.root, self.dataset, guesses(self.truth, noise), model=model)
        return evaluated(self.root, made, self.dataset, metrics=["ari", "miou", "ari-all"])


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_evaluations_that_differ_only_by_the_seed_of_training_are_one_model(bench: Bench) -> None:
    given = [bench.of_run(SHORT, 0, 1), bench.of_run(LONG, 0, 2), bench.of_run(SHORT, 5, 3), bench.imported("other", 4)]
    facts = compared(bench.root, *given).facts
    assert [model["name"] for model in facts["models"]] == ["net-blocks (steps 10)", "net-blocks (steps 99)", "other"]
    assert [model["seeds"] for model in facts["models"]] == [[0, 5], [0], [None]]
    assert facts["models"][0]["evaluations"] == [given[0].reference.directory, given[2].reference.directory]
    assert [(pair["a"], pair["b"]) for pair in facts["pairs"]] == [
        ("net-blocks (steps 10)", "net-blocks (steps 99)"), ("net-blocks (steps 10)", "other"),
    ]  # fmt: skip
    means = [one.facts["metrics"]["ari"]["mean"] for one in (given[0], given[2])]
    ari = facts["models"][0]["metrics"]["ari"]
    assert ari["by_seed"] == pytest.approx(means) and ari["mean"] == pytest.approx(np.mean(means))
    assert ari["sd"] == pytest.approx(np.std(means, ddof=1)) and facts["models"][1]["metrics"]["ari"]["sd"] is None
    assert facts["left_out"] == {"ari-all": "not evaluated everywhere"}


def test_the_seed_of_training_is_where_it_is_looked_for() -> None:
    assert "seed" in TrainConfig.model_fields


def test_one_model_alone_shows_its_spread_over_seeds(bench: Bench) -> None:
    facts = compared(bench.root, bench.of_run(SHORT, 0, 1), bench.of_run(SHORT, 1, 2)).facts
    assert len(facts["models"]) == 1 and facts["models"][0]["name"] == "net-blocks" and facts["pairs"] == []


@pytest.mark.parametrize("rebuilt", [False, True])
def test_a_comparison_needs_no_data_set(bench: Bench, rebuilt: bool) -> None:
    given = [bench.imported("one", 1), bench.imported("other", 2)]
    shutil.rmtree(bench.dataset.path)
    if rebuilt:
        assert store_masks(bench.root, true_masks()[::-1]).path == bench.dataset.path
    assert [model["name"] for model in compared(bench.root, *given).facts["models"]] == ["one", "other"]


def test_paired_figures_are_those_of_scipy_and_of_counting(bench: Bench) -> None:
    first, other = bench.of_run(SHORT, 0, 1), bench.of_run(LONG, 0, 2)
    pair = compared(bench.root, first, other, resamples=200, flips=5000, seed=3).facts["pairs"][0]
    one, two = read_scores(first), read_scores(other)
    for name, figures in pair["metrics"].items():
        difference = two[name] - one[name]
        defined = difference[~np.isnan(difference)]
        assert figures["difference"] == pytest.approx(defined.mean()) and figures["n"] == len(defined) == 30
        signs = [int((defined > 0).sum()), int((defined < 0).sum()), int((defined == 0).sum())]
        assert [figures[key] for key in ("better", "worse", "equal")] == signs
        theirs = stats.bootstrap(
            (difference,), np.nanmean, n_resamples=200, method="percentile", random_state=np.random.default_rng(3)
        )
        assert figures["interval"] == pytest.approx(list(theirs.confidence_interval))
        test = stats.permutation_test(
            (defined,), lambda x, axis: x.mean(axis=axis), permutation_type="samples", n_resamples=5000,
            vectorized=True, random_state=np.random.default_rng(0),
        )  # fmt: skip
        assert figures["p"] == pytest.approx(test.pvalue, abs=0.03)


def test_the_interval_of_several_seeds_draws_the_same_scenes_for_all(bench: Bench) -> None:
    given = [bench.of_run(SHORT, seed, noise=seed) for seed in (1, 2, 3)]
    scores = np.stack([read_scores(one)["ari"] for one in given])
    drawn = np.random.default_rng(0).integers(0, scores.shape[1], (400, scores.shape[1]))
    means = np.nanmean(scores[:, drawn], 2).mean(0)
    figures = compared(bench.root, *given, resamples=400).facts["models"][0]["metrics"]["ari"]
    assert figures["interval"] == pytest.approx(np.quantile(means, [0.025, 0.975]).tolist())


def test_lower_is_better_for_metrics_that_declare_it(tmp_path: Path) -> None:
    truth = true_masks(6)
    dataset = store_masks(tmp_path, truth)
    grey = [np.full((6, 8, 8, 3), value, np.float32) for value in (0.0, 0.5)]
    black, mean = (
        evaluated(tmp_path, store_predictions(tmp_path, dataset, truth, model=str(i), reconstruction=image), dataset,
                  metrics=["mse"])
        for i, image in enumerate(grey)
    )  # fmt: skip
    figures = compared(tmp_path, black, mean).facts["pairs"][0]["metrics"]["mse"]
    assert figures["difference"] < 0 and (figures["better"], figures["worse"]) == (6, 0) and figures["p"] == 2 / 64


def test_names_are_given_in_the_order_of_the_models(bench: Bench) -> None:
    given = [bench.of_run(SHORT, 0, 1), bench.of_run(SHORT, 1, 2), bench.of_run(LONG, 0, 3)]
    named = compared(bench.root, *given, names=["short", "long"]).facts
    assert [(model["name"], len(model["seeds"])) for model in named["models"]] == [("short", 2), ("long", 1)]
    with pytest.raises(ConfigError, match=r"compare.names: 3 names for 2 models \(1: evaluation/"):
        compared(bench.root, *given, names=["a", "b", "c"])
    with pytest.raises(ConfigError, match="a name is given to two models"):
        compared(bench.root, *given, names=["a", "a"])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"convention": "ones"}, "cannot be compared: convention exclude and ones"),
        ({"resolution": 16}, "cannot be compared: resolution 8×8 and 16×16"),
        ({"tolerance": 0.1}, "cannot be compared: tolerance 0.008 and 0.1"),
    ],
)
def test_evaluations_by_other_rules_are_refused(change: dict[str, Any], told: str, bench: Bench) -> None:
    first, other = bench.of_run(SHORT, 0, 1), bench.of_run(LONG, 0, 2, **change)
    with pytest.raises(SchemaError, match=told):
        compared(bench.root, first, other)


def test_evaluations_of_other_data_are_refused(bench: Bench) -> None:
    other = store_masks(bench.root, true_masks(), seed=9)
    stranger = evaluated(bench.root, store_predictions(bench.root, other, true_masks(), model="b"), other)
    with pytest.raises(SchemaError, match=r"cannot be compared: true masks dataset/blocks-\w+ and dataset/blocks-\w+"):
        compared(bench.root, bench.imported("a", 1), stranger)
    fewer = evaluated(bench.root, store_predictions(bench.root, bench.dataset, true_masks()[:9]), bench.dataset)
    with pytest.raises(SchemaError, match="cannot be compared: scenes 40 and 9"):
        compared(bench.root, bench.imported("a", 1), fewer)


def test_evaluations_of_an_older_version_are_refused(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluate, "VERSION", evaluate.VERSION - 1)
    old = bench.imported("a", 1)
    monkeypatch.undo()
    with pytest.raises(SchemaError, match="was evaluated by another version of iodine-kit: evaluate again"):
        compared(bench.root, old, bench.imported("b", 2))


def test_what_cannot_be_compared_with_itself_or_at_all_is_refused(bench: Bench) -> None:
    one = bench.imported("a", 1)
    with pytest.raises(ConfigError, match="needs two evaluations or more"):
        compared(bench.root, one)
    with pytest.raises(ConfigError, match="are of the same predictions: give one of them"):
        compared(bench.root, one, one)
    with pytest.raises(SchemaError, match="'mse' cannot be compared: not evaluated"):
        compared(bench.root, one, bench.imported("b", 2), metrics=["mse"])


def test_files_hold_the_figures_of_the_facts(bench: Bench) -> None:
    comparison = compared(bench.root, bench.imported("a_1 & co", 1), bench.imported("b|2", 2), metrics=["ari"])
    facts = comparison.facts
    assert json.loads((comparison.path / "summary.json").read_text("utf-8")) == facts
    rows = list(csv.DictReader((comparison.path / "summary.csv").open(encoding="utf-8", newline="")))
    assert [row["model"] for row in rows] == ["a_1 & co", "b|2"] and rows[0]["p"] == ""
    pair = facts["pairs"][0]["metrics"]["ari"]
    assert float(rows[1]["difference"]) == pair["difference"] and int(rows[1]["better"]) == pair["better"]
    markdown, latex = ((comparison.path / f"summary.{kind}").read_text("utf-8") for kind in ("md", "tex"))
    assert r"| a\_1 \& co | b\|2 |" in markdown and r"a\_1 \& co & b\textbar{}2 \\" in latex
    assert "±" not in markdown and "Intervals: percentile bootstrap" in markdown and "p: two-sided" in markdown
    scenes = list(csv.DictReader((comparison.path / "scenes.csv").open(encoding="utf-8", newline="")))
    assert len(scenes) == 80 and [row["model"] for row in scenes[::40]] == ["a_1 & co", "b|2"]
