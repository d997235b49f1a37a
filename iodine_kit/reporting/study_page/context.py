"""Everything the page may show, gathered once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from iodine_kit.records import Bytes
from iodine_kit.reporting.charts import Plot
from iodine_kit.tables import Table


@dataclass(frozen=True)
class Made:
    """An artifact that went in: its part, ``kind/name-key12``, its whole key, when, how long, which code."""

    role: str
    directory: str
    key: str
    finished: str
    seconds: float
    code: str


@dataclass(frozen=True)
class StudyPage:
    """The page's material.

    Attributes:
        name, summary, question: the study's.
        seen, method: sentences.
        picture: ``uint8[H, W, 3]`` and its caption, or ``None``.
        settings: (name, value) pairs of the study's own configuration.
        inputs: every artifact that went in.
        command: the shell command that makes the page again.
    """

    name: str
    summary: str
    question: str
    seen: Sequence[str]
    method: Sequence[str]
    tables: Sequence[Table]
    plots: Sequence[Plot]
    picture: tuple[Bytes, str] | None
    settings: Sequence[tuple[str, str]]
    inputs: Sequence[Made]
    command: str

    @property
    def title(self) -> str:
        """Heading of the page."""
        return f"Study: {self.name}"

    @property
    def seconds(self) -> float:
        """What the artifacts took to make, one after the other."""
        return sum(made.seconds for made in self.inputs)
