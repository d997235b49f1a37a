"""The page and the Markdown of a study: all content is shown and escaped, and nothing is loaded from elsewhere."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from unit.reporting.page_parser import PageParser

from iodine_kit.reporting.charts import Series, rows_plot, series_plot
from iodine_kit.reporting.study_page import StudyInput, StudyPage, render_study_markdown, render_study_page
from iodine_kit.tables import Table


def page() -> StudyPage:
    plots = [
        series_plot([Series("a <b>", [0, 1], [0.1, 0.9])], title="First", x_label="T"),
        rows_plot(["one", "two"], [Series("", [0, 1], [0.1, 0.9], line=False)], title="Second", x_label="FG-ARI"),
    ]
    return StudyPage(
        name="steps",
        summary="more steps",
        question="Does T < 3 suffice?",
        observations=["FG-ARI is 0.9 & rising."],
        method=["Intervals are of 95 %."],
        tables=[Table(["T", "FG-ARI"], [[3, "0.9 [0.8, 1.0]"], [6, float("nan")]], "By T.")],
        plots=[plotted for plotted in plots if plotted],
        picture=(np.zeros((4, 6, 3), np.uint8), "A few scenes."),
        settings=[("steps", "3, 6")],
        inputs=[
            StudyInput("run", "run/iodine-a-1234", "12" * 32, "2026-01-01", 12.5, "abc"),
            StudyInput("evaluation, T = 3", "evaluation/iodine-a-5678", "56" * 32, "2026-01-01", 1.5, "abc"),
        ],
        command="iodine-kit study steps --pipeline quickstart",
    )


def test_the_page_shows_all_content_and_loads_nothing() -> None:
    html = render_study_page(page())
    read = PageParser(html)
    assert read.errors == []
    shown = " ".join(read.text)
    for words in ("Study: steps", "Does T < 3 suffice?", "FG-ARI is 0.9 & rising.", "Intervals are of 95 %.", "By T.",
                  "0.9 [0.8, 1.0]", "–", "A few scenes.", "12" * 32, "evaluation, T = 3", "14 seconds",
                  "iodine-kit study steps --pipeline quickstart"):  # fmt: skip
        assert words in shown, words
    assert [image["src"][:10] for image in read.of("img") if image["src"]] == ["data:image"]
    assert not read.of("script") and not read.of("link") and "http" not in html.replace("http-equiv", "")
    assert "prefers-color-scheme: dark" in html and html == render_study_page(page())


def test_markdown_shows_the_figure_the_table_and_the_root_artifacts() -> None:
    text = render_study_markdown(page())
    assert "# Study: steps\n" in text and "![Figures of the study](figure.png)" in text and "(scenes.png)" in text
    assert r"Does T \< 3 suffice?" in text
    assert r"| 3 | 0.9 \[0.8, 1.0\] |" in text and "| 6 | – |" in text
    assert "`run/iodine-a-1234`" in text and "evaluation/" not in text, "only data sets and runs"
    assert "took 14 s" in text and text.endswith("12.5 s\n")


def test_a_command_cannot_end_its_block_of_markdown() -> None:
    text = render_study_markdown(replace(page(), command="iodine-kit study '\n```\n<script>'"))
    assert "````sh\niodine-kit study '\n```\n<script>'\n````\n" in text
