"""The study in short, as Markdown for a repository; the picture is ``figure.png`` beside it."""

from __future__ import annotations

from iodine_kit.formatting import count
from iodine_kit.reporting.study_page.context import Made, StudyPage
from iodine_kit.tables import as_markdown, md, md_code

_ROOTS = ("dataset", "run")


def render_study_markdown(page: StudyPage) -> str:
    """Sentences, figure, tables, method and inputs; ends with a line feed. Same material, same text."""
    parts = [
        f"# {md(page.title)}",
        md(page.question),
        "\n".join(f"- {md(sentence)}" for sentence in page.seen),
        f"![Figures of the study](figure.png)\n\n{_picture(page)}".rstrip(),
        *(as_markdown(table).rstrip() for table in page.tables),
        "## How it was done",
        "\n".join(f"- {md(sentence)}" for sentence in page.method),
        f"Settings: {', '.join(md_code(f'{name} = {value}') for name, value in page.settings)}."
        if page.settings
        else "",
        f"```sh\n{page.command}\n```",
        f"The {count(len(page.inputs))} artifacts that went in took {page.seconds:,.0f} s to make, one after the "
        "other. study.json names all of them; those that others were made from:",
        "\n".join(_input(made) for made in page.inputs if made.directory.split("/")[0] in _ROOTS),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _picture(page: StudyPage) -> str:
    return f"![{md(page.picture[1])}](scenes.png)\n\n{md(page.picture[1])}" if page.picture else ""


def _input(made: Made) -> str:
    return f"- **{md(made.role)}** {md_code(made.directory)}, made by {md(made.code)} in {made.seconds:,.1f} s"
