"""Protocols: how a paper or a code base selects, splits and preprocesses a data set. Each module here is one protocol.

In the literature, "CLEVR6" means at least four different sets of scenes. A protocol defines which records belong to
which split, which scenes are omitted, and how images are cropped, so that results can be compared with published ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from iodine_kit.registry import Registry
from iodine_kit.split_rules import SplitRule


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
