"""Protocols: how a paper or a code base selects, splits and preprocesses a data set. Each module here is one protocol.

In the literature, "CLEVR6" means at least four different sets of scenes. A protocol defines which records belong to
which split, which scenes are omitted, and how images are cropped, so that results can be compared with published ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from iodine_kit.registry import Registry
from iodine_kit.split_rules import Range, Ranges, SplitRule


@dataclass(frozen=True)
class Rule:
    """The rule of a protocol for one data set.

    Attributes:
        summary: the rule in words.
        splits: assigns records to splits.
        preprocess: values of ``[preprocess]``: crop, size, and the filter on the number of objects.
        expected: number of scenes by split, if it was published or follows from the rule; without approximate ones.
    """

    summary: str
    splits: SplitRule
    preprocess: Mapping[str, Any] = field(default_factory=dict)
    expected: Mapping[str, int] = field(default_factory=dict)


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
"""Rules that several protocols share."""


class ProtocolPlugin(Protocol):
    """What a module of this folder defines."""

    VERSION: int
    """Raised whenever the same source would give other scenes."""

    SUMMARY: str
    """The paper or code base, and the rule, in one line."""

    SOURCE: str
    """Where the rule is stated: paper and section, or code base and file."""

    RULES: Mapping[str, Rule]
    """The rule by data set."""


PROTOCOLS: Registry[ProtocolPlugin] = Registry("protocol", "iodine_kit.protocols", ProtocolPlugin)
