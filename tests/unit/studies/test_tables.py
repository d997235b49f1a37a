"""Tables for programs and for people, and the intervals in them."""

from __future__ import annotations

import csv
import io
import math

import numpy as np
import pytest

from iodine_kit.studies._findings import Estimate, Table
from iodine_kit.studies._scores import estimate, format_estimate, join_words, unpaired_difference
from iodine_kit.studies._writing import as_text, csv_of

NAN = float("nan")
TABLE = Table(
    "Caption.",
    {"inputs": "Inputs", "fg_ari": "FG-ARI", "difference": "Difference", "n": "n"},
    [
        {"inputs": "all", "fg_ari": Estimate(0.5, 0.4, 0.6, 10), "difference": "", "n": 1200},
        {"inputs": "a, b", "fg_ari": Estimate(NAN, NAN, NAN, 0), "difference": Estimate(-0.1, -0.2, 0.1, 9), "n": 3},
    ],
)


def test_a_csv_table_has_a_column_for_each_end_of_an_interval() -> None:
    first, second = csv.DictReader(io.StringIO(csv_of(TABLE)))
    assert {name: first[name] for name in ("fg_ari", "fg_ari_low", "fg_ari_high", "fg_ari_n", "n")} == {
        "fg_ari": "0.5", "fg_ari_low": "0.4", "fg_ari_high": "0.6", "fg_ari_n": "10", "n": "1200",
    }  # fmt: skip
    assert first["difference"] == first["difference_low"] == "", "an empty cell stays empty"
    assert second["inputs"] == "a, b" and second["fg_ari"] == "" and second["difference_low"] == "-0.2"


def test_a_text_table_has_intervals_in_brackets() -> None:
    written = as_text(TABLE)
    assert written.heads == ["Inputs", "FG-ARI", "Difference", "n"]
    assert written.rows[0] == ["all", "0.5000 [0.4000, 0.6000]", "", 1200]
    assert format_estimate(Estimate(NAN, NAN, NAN, 0)) == "undefined"
    assert format_estimate(Estimate(1.0, NAN, NAN, 1)) == "1.0000"


def test_an_estimate_ignores_undefined_scores_and_its_interval_covers_the_mean() -> None:
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(60):
        values = rng.normal(0.3, 1.0, 80)
        values[rng.random(80) < 0.2] = NAN
        result = estimate(values)
        assert result.mean == pytest.approx(np.nanmean(values)) and result.n == np.isfinite(values).sum()
        inside += result.low <= 0.3 <= result.high
    assert inside >= 50, "95 % intervals: 57 of 60 on average"
    assert estimate(np.full(3, NAN)).n == 0 and math.isnan(estimate(np.full(3, NAN)).mean)


def test_the_difference_of_two_samples_has_the_interval_of_welch() -> None:
    rng = np.random.default_rng(1)
    first, second = rng.normal(1, 2, 400), rng.normal(0.5, 1, 300)
    result = unpaired_difference(first, second)
    half = 1.96 * math.sqrt(first.var(ddof=1) / 400 + second.var(ddof=1) / 300)
    assert result.mean == pytest.approx(first.mean() - second.mean())
    assert (result.high - result.low) / 2 == pytest.approx(half, rel=0.1)


def test_words_are_joined_with_commas_and_and() -> None:
    assert [join_words(words) for words in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == [
        "",
        "a",
        "a and b",
        "a, b and c",
    ]
