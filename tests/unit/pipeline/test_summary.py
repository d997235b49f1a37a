"""The spread over seeds and the table at the end of a matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iodine_kit.errors import CountError, SchemaError
from iodine_kit.evaluation.facts import MetricFacts
from iodine_kit.pipeline import Member, Result, raise_failed, spreads, summary_tables


def metric(mean: float | None, title: str = "FG-ARI") -> MetricFacts:
    return MetricFacts(
        title=title, unit="", better="higher", convention="", resolution=(6, 6), std=None, median=None, mean=mean,
        interval=None, n=4, undefined=0, degenerate=0, by_step=[],
    )  # fmt: skip


def result(settings: dict[str, Any], **means: float | None) -> Result:
    name = ",".join(f"{key}={value}" for key, value in settings.items())
    return Result(Member(name, settings, {}), {}, {key: metric(mean, key) for key, mean in means.items()})


def of_seeds(means: Sequence[float | None]) -> list[Result]:
    return [result({"train.seed": seed}, ari=mean) for seed, mean in enumerate(means)]


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=6))
def test_the_spread_is_the_mean_and_the_sample_standard_deviation(means: list[float]) -> None:
    (spread,) = spreads(of_seeds(means))
    mean, sd, n = spread.metrics["ari"]
    assert mean == pytest.approx(np.mean(means)) and sd == pytest.approx(np.std(means, ddof=1)) and n == len(means)


def test_an_undefined_mean_does_not_count_and_the_table_says_so() -> None:
    results = of_seeds([0.5, None, 0.7])
    assert spreads(results)[0].metrics["ari"][2] == 2
    table = summary_tables(results)[0]
    assert table.heads == ["member", "ari ↑"]
    assert table.rows[-1] == ["mean ± sd of 3 seeds", "0.6000 ± 0.1414 (n = 2)"]
    assert spreads(of_seeds([None, None]))[0].as_json()["metrics"] == {"ari": {"mean": None, "sd": None, "n": 0}}


def test_only_members_that_differ_in_nothing_but_the_seed_are_pooled() -> None:
    results = [result({"train.seed": seed, "model.beta": beta}, ari=beta + seed) for beta in (1, 4) for seed in (0, 1)]
    assert [(one.settings, list(one.seeds)) for one in spreads(results)] == [
        ({"model.beta": 1}, [0, 1]), ({"model.beta": 4}, [0, 1]),
    ]  # fmt: skip
    assert spreads([result({"model.beta": beta}, ari=1.0) for beta in (1, 4)]) == []


def test_the_longer_list_is_downwards() -> None:
    two = [result({"train.seed": seed}, a=1.0, b=2.0, c=3.0, d=4.0) for seed in (0, 1)]
    first, other = summary_tables(two)
    assert first.heads == ["metric", "train.seed=0", "train.seed=1", "mean ± sd of 2 seeds"]
    assert [row[0] for row in first.rows] == ["a ↑", "b ↑", "c ↑", "d ↑"]
    assert other.heads == ["member", "a ↑", "b ↑", "c ↑", "d ↑"] and [row[0] for row in other.rows] == first.heads[1:]
    assert [row[1:] for row in first.rows] == [list(column) for column in zip(*other.rows, strict=True)][1:]


def test_members_are_beside_those_that_differ_in_the_seed() -> None:
    results = [result({"train.seed": seed, "model.beta": beta}, ari=beta + seed) for seed in (0, 1) for beta in (1, 4)]
    rows = summary_tables([*results, result({"train.seed": 0, "model.beta": 9}, ari=9.0)])[0].rows
    assert [row[0] for row in rows] == [
        "train.seed=0,model.beta=1", "train.seed=1,model.beta=1", "beta=1: 2 seeds",
        "train.seed=0,model.beta=4", "train.seed=1,model.beta=4", "beta=4: 2 seeds", "train.seed=0,model.beta=9",
    ]  # fmt: skip
    assert rows[2][1] == "1.5000 ± 0.7071"


def test_members_that_failed_are_named_with_the_class_of_the_first_error() -> None:
    good, *bad = of_seeds([0.5, None, None])
    failed = [
        Result(one.member, {}, {}, error) for one, error in zip(bad, (CountError("a"), SchemaError("b")), strict=True)
    ]
    raise_failed([good])
    with pytest.raises(
        CountError, match=r"2 of 3 members failed, and the others are complete: train\.seed=1: a; train"
    ):
        raise_failed([good, *failed])
    assert summary_tables([good, *failed])[0].rows[1] == ["train.seed=1", "failed"]
