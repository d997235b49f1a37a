"""The page of a study: as HTML that needs only a browser, and as Markdown for a repository."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from iodine_kit.formatting import count
from iodine_kit.records import Bytes
from iodine_kit.reporting.charts import Plot, figure, series_css
from iodine_kit.reporting.pictures import png
from iodine_kit.reporting.report_page import RenderedSection
from iodine_kit.reporting.templating import fill
from iodine_kit.tables import Table, as_markdown, fenced, md, md_code

_SECTIONS = {"findings": "Findings", "figures": "Tables", "method": "Method", "lineage": "Lineage"}
_ROOTS = ("dataset", "run")
"""Kinds of the artifacts that all others of a study are made from."""


@dataclass(frozen=True)
class StudyInput:
    """An artifact that the study used.

    Attributes:
        role: its role in the study.
        directory: ``kind/name-key12``; key: all 64 digits.
        finished: when it was made; seconds: how long that took; code: by which version of the code.
    """

    role: str
    directory: str
    key: str
    finished: str
    seconds: float
    code: str


@dataclass(frozen=True)
class StudyPage:
    """The content of the page.

    Attributes:
        name, summary, question: of the study.
        observations, method: sentences.
        tables: with the name of each row in its first cell.
        plots: panels of the figure.
        picture: ``uint8[H, W, 3]`` and its caption, or ``None``.
        settings: (name, value) pairs of the study's own configuration.
        inputs: every artifact that the study used.
        command: the shell command that reproduces the study.
    """

    name: str
    summary: str
    question: str
    observations: Sequence[str]
    method: Sequence[str]
    tables: Sequence[Table]
    plots: Sequence[Plot]
    picture: tuple[Bytes, str] | None
    settings: Sequence[tuple[str, str]]
    inputs: Sequence[StudyInput]
    command: str

    @property
    def title(self) -> str:
        """Heading of the page."""
        return f"Study: {self.name}"

    @property
    def seconds(self) -> float:
        """Time that making the inputs took, in total."""
        return sum(one.seconds for one in self.inputs)


def render_study_page(page: StudyPage) -> str:
    """The page as one HTML document with style and pictures inside and no network address. Same content, same bytes."""
    charts = [figure(plot) for plot in page.plots]
    picture = (png(page.picture[0]), page.picture[1]) if page.picture else None
    sections = [
        RenderedSection(name, title, fill(f"study_{name}.html", page=page, charts=charts, picture=picture))
        for name, title in _SECTIONS.items()
    ]
    return fill(
        "study_page.html", title=page.title, summary=page.question, sections=sections,
        light=series_css(), dark=series_css(dark=True),
    )  # fmt: skip


def render_study_markdown(page: StudyPage) -> str:
    """The page in short; the figure is ``figure.png`` beside it. Ends with a line feed. Same content, same text."""
    parts = [
        f"# {md(page.title)}",
        md(page.question),
        "\n".join(f"- {md(sentence)}" for sentence in page.observations),
        f"![Figures of the study](figure.png)\n\n{_markdown_picture(page)}".rstrip(),
        *(as_markdown(table).rstrip() for table in page.tables),
        "## Method",
        "\n".join(f"- {md(sentence)}" for sentence in page.method),
        _markdown_settings(page),
        fenced(page.command),
        f"Making the {count(len(page.inputs))} artifacts that the study used took {page.seconds:,.0f} s in total. "
        "study.json names all of them. The others were made from these:",
        "\n".join(_markdown_input(one) for one in page.inputs if one.directory.split("/")[0] in _ROOTS),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _markdown_settings(page: StudyPage) -> str:
    settings = ", ".join(md_code(f"{name} = {value}") for name, value in page.settings)
    return f"Settings: {settings}." if settings else ""


def _markdown_picture(page: StudyPage) -> str:
    return f"![{md(page.picture[1])}](scenes.png)\n\n{md(page.picture[1])}" if page.picture else ""


def _markdown_input(one: StudyInput) -> str:
    return f"- **{md(one.role)}** {md_code(one.directory)}, made by {md(one.code)} in {one.seconds:,.1f} s"
