"""Tables for programs and people, and the intervals in them."""

from __future__ import annotations

import csv
import io
import math

import numpy as np
import pytest

from iodine_kit.studies._findings import Estimate, Table
from iodine_kit.studies._scores import estimate, gap, listed, told
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


def test_a_table_for_programs_has_every_end_in_a_column_of_its_own() -> None:
    first, second = csv.DictReader(io.StringIO(csv_of(TABLE)))
    assert {name: first[name] for name in ("fg_ari", "fg_ari_low", "fg_ari_high", "fg_ari_n", "n")} == {
        "fg_ari": "0.5", "fg_ari_low": "0.4", "fg_ari_high": "0.6", "fg_ari_n": "10", "n": "1200",
    }  # fmt: skip
    assert first["difference"] == first["difference_low"] == "", "nothing to say is empty"
    assert second["inputs"] == "a, b" and second["fg_ari"] == "" and second["difference_low"] == "-0.2"


def test_a_table_for_people_has_intervals_in_brackets() -> None:
    written = as_text(TABLE)
    assert written.heads == ["Inputs", "FG-ARI", "Difference", "n"]
    assert written.rows[0] == ["all", "0.5000 [0.4000, 0.6000]", "", 1200]
    assert told(Estimate(NAN, NAN, NAN, 0)) == "undefined" and told(Estimate(1.0, NAN, NAN, 1)) == "1.0000"


def test_an_estimate_leaves_out_what_is_undefined_and_its_interval_covers() -> None:
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(60):
        values = rng.normal(0.3, 1.0, 80)
        values[rng.random(80) < 0.2] = NAN
        found = estimate(values)
        assert found.mean == pytest.approx(np.nanmean(values)) and found.n == np.isfinite(values).sum()
        inside += found.low <= 0.3 <= found.high
    assert inside >= 50, "95 % intervals: 57 of 60 on average"
    assert estimate(np.full(3, NAN)).n == 0 and math.isnan(estimate(np.full(3, NAN)).mean)


def test_the_gap_of_two_samples_has_the_interval_of_welch() -> None:
    rng = np.random.default_rng(1)
    first, second = rng.normal(1, 2, 400), rng.normal(0.5, 1, 300)
    found = gap(first, second)
    half = 1.96 * math.sqrt(first.var(ddof=1) / 400 + second.var(ddof=1) / 300)
    assert found.mean == pytest.approx(first.mean() - second.mean())
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.1)


def test_words_are_listed_as_people_do() -> None:
    assert [listed(words) for words in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == ["", "a", "a and b", "a, b and c"]
