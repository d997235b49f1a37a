"""Rules that several protocols share: the first records for training, and the next ones for evaluation."""

from __future__ import annotations

from iodine_kit.protocols import Rule
from iodine_kit.split_rules import Range, Ranges

FIRST_60K = Rule(
    "records 0 to 59,999 for training, the next 320 for evaluation",
    Ranges((Range("train", 0, 60_000), Range("test", 60_000, 60_320))),
    expected={"train": 60_000, "test": 320},
)
CLEVR6_OF_70K = Rule(
    "at most 6 objects by the factors; of records 0 to 69,999 for training, and the next 320 that fit for evaluation; "
    "rows 29:221, columns 64:256, resized to 128×128",
    Ranges((Range("train", 0, 70_000), Range("test", 70_000, 100_000, most=320))),
    {"crop": "iodine", "size": 128, "max_objects": 6},
    {"test": 320},
)
