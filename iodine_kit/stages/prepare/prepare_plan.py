"""What there is to do, resolved: records in, a rule for splits, and the recipe for each record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from iodine_kit.layouts import LAYOUTS, Item
from iodine_kit.split_rules import SplitRule
from iodine_kit.stages.prepare.process_record import Recipe


@dataclass(frozen=True)
class Work:
    """What there is to do.

    Attributes:
        source: what it is made from, for messages.
        generated: scenes to generate per split; empty if files are read.
        paths: the files.
        max_bad: share of bad records that is tolerated.
        workers: number of processes.
        origin: for the manifest: where the scenes are from and by which rules they were chosen.
        expected: scenes per split as the protocol's authors had them.
    """

    recipe: Recipe
    rule: SplitRule
    source: str
    generated: Mapping[str, int] = field(default_factory=dict)
    paths: tuple[Path, ...] = ()
    max_bad: float = 0.0
    workers: int = 1
    origin: Mapping[str, Any] = field(default_factory=dict)
    expected: Mapping[str, int] = field(default_factory=dict)

    def items(self) -> Iterator[Item]:
        """All records in order."""
        if self.generated:
            splits = self.generated.items()
            return (Item(f"{split} {index}", index, split) for split, count in splits for index in range(count))
        return LAYOUTS.load(self.recipe.layout).items(self.paths, self.recipe.expected, self.recipe.layout_config)
