from __future__ import annotations

import json
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iodine_kit.split_rules import Counts, Own, Range, Ranges, Shuffled, SplitRule


def assigned(rule: SplitRule, records: int, keep: set[int] | None = None) -> dict[str, list[int]]:
    """The records of each split, for a source of which only the records in ``keep`` pass the filter."""
    splits: dict[str, list[int]] = {}
    for record in range(records):
        kept = {split: len(members) for split, members in splits.items()}
        if rule.complete(record, kept):
            break
        if rule.candidate(record, "") and (keep is None or record in keep) and (split := rule.assign(record, "", kept)):
            splits.setdefault(split, []).append(record)
    return splits


def test_counts_assign_kept_records_in_order() -> None:
    rule = Counts((("train", 3), ("test", 2)))
    assert assigned(rule, 10, {0, 2, 4, 6, 8, 9}) == {"train": [0, 2, 4], "test": [6, 8]}
    assert rule.shortage(4, {"train": 3, "test": 1}) == "it lacks 1 of 2 for 'test'"


def test_counts_respect_published_splits() -> None:
    rule = Counts((("train", 2), ("test", 1)))
    assert rule.assign(0, "test", {}) == "test" and rule.assign(1, "test", {"test": 1}) == ""
    assert rule.assign(5, "train", {"test": 1}) == "train" and not rule.candidate(3, "val")


def test_ranges_count_records_before_the_filter() -> None:
    rule = Ranges.of_counts({"train": 4, "test": 3})
    assert assigned(rule, 10, {0, 3, 5, 6, 9}) == {"train": [0, 3], "test": [5, 6]}
    assert not rule.shortage(7, {}) and "'test' takes records 4 to 6" in rule.shortage(6, {})


def test_a_range_can_be_limited_to_its_first_kept_records() -> None:
    rule = Ranges((Range("train", 0, 4), Range("test", 4, 100, most=2)))
    assert assigned(rule, 100, set(range(0, 100, 3))) == {"train": [0, 3], "test": [6, 9]}
    assert not rule.shortage(10, {"train": 2, "test": 2}) and rule.shortage(10, {"train": 2, "test": 1})


def test_published_splits_are_kept_and_can_be_limited() -> None:
    rule = Own(("train", "test"), (("test", 1),))
    assert rule.assign(0, "train", {}) == "train" and rule.assign(5, "test", {"test": 1}) == ""
    assert not rule.candidate(3, "val") and Own().candidate(3, "val")
    assert rule.assign(0, "", {}) == "train" and "'test'" in rule.shortage(3, {"train": 3})


@given(st.integers(1, 300), st.integers(0, 2**31))
def test_shuffled_uses_the_shuffle_of_python(total: int, seed: int) -> None:
    rule = Shuffled(total, seed, (("train", 0.7), ("val", 0.85), ("test", 1.0)))
    numbers = list(range(total))
    random.seed(seed)
    random.shuffle(numbers)
    splits = assigned(rule, total)
    assert sorted(numbers[: int(0.7 * total)]) == splits.get("train", [])
    assert sorted(numbers[int(0.85 * total) :]) == splits.get("test", [])
    assert sum(Counter({split: len(members) for split, members in splits.items()}).values()) == total


@pytest.mark.parametrize(
    ("rule", "described"),
    [
        (Own(("a",), (("a", 2),)), '{"rule": "as published", "splits": ["a"], "most": {"a": 2}}'),
        (Counts((("a", 1),)), '{"rule": "kept records in order", "splits": [["a", 1]]}'),
        (Ranges((Range("a", 1, 5, 2),)), '{"rule": "ranges of records", "splits": [["a", 1, 5, 2]]}'),
        (
            Shuffled(5, 1, (("a", 1.0),)),
            '{"rule": "shuffled records", "total": 5, "seed": 1, "splits": [["a", 1.0]]}',
        ),
    ],
)
def test_the_description_of_a_rule_which_is_part_of_keys_does_not_change(rule: SplitRule, described: str) -> None:
    assert json.dumps(rule.describe()) == described
