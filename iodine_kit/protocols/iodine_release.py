"""IODINE, released code: its filter should keep scenes with up to six objects, but keeps those with exactly five."""

from __future__ import annotations

from iodine_kit.protocols import Rule
from iodine_kit.split_rules import Own

VERSION = 1
SUMMARY = "deepmind-research/iodine: CLEVR6 has exactly 5 objects; the whole file, nothing held out"
SOURCE = (
    "github.com/google-deepmind/deepmind-research, iodine/modules/data.py: filter_by_num_objects compares the sum of "
    "visibility, which counts the background, with max_num_objects from below and from above"
)
_WHOLE = Rule("every record for training", Own(("train",)))
RULES = {
    "clevr": Rule(
        "exactly 5 objects by the factors; every record for training; rows 29:221, columns 64:256, resized to 128×128",
        Own(("train",)),
        {"crop": "iodine", "size": 128, "min_objects": 5, "max_objects": 5},
    ),
    "multi-dsprites": _WHOLE,
    "tetrominoes": _WHOLE,
}
