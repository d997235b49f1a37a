"""Object-centric-library: objects are counted after the crop, and scenes are split after the filter."""

from __future__ import annotations

from iodine_kit.protocols import Rule
from iodine_kit.split_rules import Counts

VERSION = 1
SUMMARY = "Dittadi et al. 2022: CLEVR6 has at most 6 objects visible after the crop; splits after the filter"
SOURCE = (
    "Dittadi et al., Generalization and Robustness Implications in Object-Centric Learning, ICML 2022; "
    "github.com/addtt/object-centric-library, config/dataset/variants/variants.yaml and config/dataset/*.yaml"
)
_PLAIN_COUNTS = {"train": 90_000, "val": 5_000, "test": 5_000}
_CLEVR6_COUNTS = {"train": 49_483, "val": 2_000, "test": 2_000}


def _rule(summary: str, counts: dict[str, int], **preprocess: object) -> Rule:
    return Rule(summary, Counts(tuple(counts.items())), preprocess, counts)


_PLAIN = _rule("the first 90,000 records for training, the next 5,000 for validation, the next 5,000 for testing",
               _PLAIN_COUNTS)  # fmt: skip
RULES = {
    "clevr": _rule(
        "at most 6 objects with pixels after the crop; of the 53,483 scenes that pass, in order, 49,483 for training, "
        "2,000 for validation and 2,000 for testing; the files of this project are already cropped",
        _CLEVR6_COUNTS, crop="iodine", size=128, max_objects=6, count="pixels",
    ),
    "multi-dsprites": _PLAIN,
    "objects-room": _PLAIN,
    "tetrominoes": _rule(_PLAIN.summary + "; the centre 32×32", _PLAIN_COUNTS, crop="centre:32"),
}  # fmt: skip
