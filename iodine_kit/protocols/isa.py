"""Invariant Slot Attention: the first 100 scenes for validation, the next ones for training."""

from __future__ import annotations

from iodine_kit.protocols import Rule
from iodine_kit.split_rules import Range, Ranges

VERSION = 1
SUMMARY = "Biza et al. 2023: the first 100 records for validation, the rest for training; Tetrominoes: only 512"
SOURCE = (
    "Biza et al., Invariant Slot Attention, ICML 2023; github.com/google-research/google-research, "
    "invariant_slot_attention/lib/input_pipeline.py"
)


def _rule(train: int, **preprocess: object) -> Rule:
    return Rule(
        f"records 0 to 99 for validation, the next {train:,} for training",
        Ranges((Range("val", 0, 100), Range("train", 100, 100 + train))),
        preprocess,
        {"val": 100, "train": train},
    )


RULES = {
    "clevr": _rule(99_900, crop="iodine", size=128),
    "objects-room": _rule(999_900),
    "tetrominoes": _rule(512),
}
