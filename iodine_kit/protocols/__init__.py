"""Protocols: what a paper or a code base means by the name of a data set. Each module of this folder is one.

"CLEVR6" means at least four different sets of scenes in the wild. A protocol says by rule which records go where,
which scenes are left out, and what is done to the pixels, so that numbers can stand beside published ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from iodine_kit.registry import Registry
from iodine_kit.split_rules import SplitRule


@dataclass(frozen=True)
class Rule:
    """What a protocol says of one data set.

    Attributes:
        summary: the rule in words.
        splits: which record goes where.
        preprocess: values of ``[preprocess]``: crop, size, and the filter on the number of objects.
        expected: scenes per split, where their number was published or follows from the rule; approximate ones are
            left out.
    """

    summary: str
    splits: SplitRule
    preprocess: Mapping[str, Any] = field(default_factory=dict)
    expected: Mapping[str, int] = field(default_factory=dict)


class ProtocolPlugin(Protocol):
    """What a module of this folder offers."""

    VERSION: int
    """Raised whenever the same source would give other scenes."""

    SUMMARY: str
    """Whose protocol it is, in one line."""

    SOURCE: str
    """Where it is stated: paper and section, or file of which code."""

    RULES: Mapping[str, Rule]
    """By data set."""


PROTOCOLS: Registry[ProtocolPlugin] = Registry("protocol", "iodine_kit.protocols", ProtocolPlugin)
