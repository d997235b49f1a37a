"""Tables as CSV, Markdown and LaTeX say what went in, whatever the words in them."""

from __future__ import annotations

import csv
import io
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iodine_kit.tables import Table, as_csv, as_latex, as_markdown, shown, tex

NAN = float("nan")
HOSTILE = r"a_1 & 50% {of} #2 ~ $x^2$ \end{tabular} | <b> [x]"
words = st.text(st.characters(codec="utf-8", exclude_categories=("C",)), max_size=20)


def table() -> Table:
    rows = [
        ("one", 0.9923456789, (0.98, 0.9951), 1234, None),
        (HOSTILE, NAN, None, 0, "text"),
        ("three", 4.125e-5, (1e-5, 9e-5), -1, ""),
    ]
    return Table(("name", "mean", "interval", "n", "note"), rows, "Caption: 5 %", ["first: _note_", "second"])


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (None, "–"), (NAN, "–"), ("as it is", "as it is"), (1234567, "1,234,567"), (0.5, "0.5000"),
        ((0.91234, 0.98765), "[0.9123, 0.9877]"), ((1e-5, 0.25), "[0.0000, 0.2500]"),
        ((-1e-7, 0.25), "[0.0000, 0.2500]"),
        ((1e-5, 2e-5), "[1.00 × 10⁻⁵, 2.00 × 10⁻⁵]"), ((-1234.5, 99.5), "[−1,234, 100]"),
    ],
)  # fmt: skip
def test_cells_read_as_people_write_them(cell: object, text: str) -> None:
    assert shown(cell) == text  # type: ignore[arg-type]


def test_csv_holds_numbers_in_full_and_intervals_in_two_columns() -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv(table()))))
    assert list(rows[0]) == ["name", "mean", "interval low", "interval high", "n", "note"]
    assert float(rows[0]["mean"]) == 0.9923456789 and float(rows[0]["interval high"]) == 0.9951
    assert rows[1]["name"] == HOSTILE and rows[1]["mean"] == rows[1]["interval low"] == rows[1]["interval high"] == ""
    assert as_csv(Table(("a", "b"), [])) == "a,b\n"


@given(st.lists(st.tuples(words, st.floats(allow_nan=False), st.integers()), max_size=5))
def test_csv_can_be_read_back(rows: list[tuple[str, float, int]]) -> None:
    _, *found = csv.reader(io.StringIO(as_csv(Table(("word", "number", "count"), rows)), newline=""))
    assert [(word, float(number), int(count)) for word, number, count in found] == rows


@given(st.lists(st.tuples(words, words), min_size=1, max_size=4))
def test_markdown_keeps_its_rows_and_cells_whatever_is_in_them(rows: list[tuple[str, str]]) -> None:
    lines = [line for line in as_markdown(Table(("a", "b"), rows)).split("\n") if line]
    assert len(lines) == 2 + len(rows) and all(len(re.findall(r"(?<!\\)\|", line)) == 3 for line in lines)


def test_markdown_aligns_figures_right_and_escapes_words() -> None:
    text = as_markdown(table())
    assert "| --- | ---: | ---: | ---: | --- |" in text and "4.12 × 10⁻⁵" in text
    assert r"\<b\> \[x\]" in text and r"- first: \_note\_" in text and text.startswith("Caption: 5 %\n\n| name |")


_COMMANDS = re.compile(r"\\(?:text\w+\{\}|[{}$&%#_])")


@given(words)
def test_nothing_that_latex_acts_on_is_left_of_plain_words(text: str) -> None:
    rest = re.sub(r"\$(?:\\\w+|-|\^\{-?\d+\})\$", "", _COMMANDS.sub("", tex(text).replace(r"\dots{}", "")))
    assert not set(r"\{}$&%#_~^") & set(rest)


def test_latex_is_a_booktabs_table_with_as_many_cells_in_every_row() -> None:
    text = as_latex(table())
    body = text[text.index(r"\toprule") : text.index(r"\bottomrule")]
    rows = [line for line in body.splitlines() if line.endswith(r"\\")]
    assert len(rows) == 4 and all(len(re.findall(r"(?<!\\)&", row)) == 4 for row in rows)
    assert r"\begin{tabular}{lrrrl}" in text and r"\caption{Caption: 5 \%}" in text
    assert text.startswith("% first: _note_\n% second\n") and text.count(r"\begin") == text.count(r"\end{tab") == 2
    assert r"4.12 $\times$ 10$^{-5}$" in text and "{[0.9800, 0.9951]}" in text and r"a\_1 \& 50\% \{of\} \#2" in text


@given(st.floats() | st.none() | st.tuples(st.floats(), st.floats()))
def test_any_number_can_be_shown(cell: object) -> None:
    text = shown(cell)  # type: ignore[arg-type]
    assert text and (text == "–") == (cell is None or (isinstance(cell, float) and math.isnan(cell)))
