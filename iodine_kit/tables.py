"""One table, several spellings: CSV for programs, Markdown for repositories, LaTeX (booktabs) for papers.

CSV holds numbers in full, and an interval in two columns; the others round as :mod:`iodine_kit.formatting` does. Pages
and the terminal draw the same tables from :func:`shown` and :func:`is_text`.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

from iodine_kit import formatting
from iodine_kit.formatting import DASH

Interval = tuple[float, float]
Cell = str | int | float | Interval | None
"""Content of a cell. ``None`` and NaN stand for *no value*: a dash, and an empty field in CSV."""

_TEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "%": r"\%", "#": r"\#", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': r"\textquotedbl{}", "±": r"$\pm$", "−": r"$-$", "×": r"$\times$", "≥": r"$\geq$",
    "≤": r"$\leq$", "∞": r"$\infty$", "–": "--", "…": r"\dots{}", "·": r"$\cdot$", "√": r"$\surd$", "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
}  # fmt: skip
_RAISED = re.compile("[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+")
_SPECIAL = re.compile(r"([\\`*_\[\]<>|~#&$])")
_LOWERED = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")


@dataclass(frozen=True)
class Table:
    """Rows of cells below a row of heads.

    Attributes:
        heads: names of the columns.
        rows: one cell for every column.
        caption: a sentence, or "".
        notes: sentences to show below, for example what the columns mean.
        total: the last row sums up the others; pages set it apart.
    """

    heads: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""
    notes: Sequence[str] = ()
    total: bool = False

    def without(self, *heads: str) -> Table:
        """The same table without these columns."""
        kept = [column for column, head in enumerate(self.heads) if head not in heads]
        rows = [[row[column] for column in kept] for row in self.rows]
        return replace(self, heads=[self.heads[column] for column in kept], rows=rows)

    def columns(self, start: int, end: int) -> Table:
        """The first column, and those from ``start`` up to, but not including, ``end``."""
        rows = [[row[0], *row[start:end]] for row in self.rows]
        return replace(self, heads=[self.heads[0], *self.heads[start:end]], rows=rows)


def shown(cell: Cell) -> str:
    """A cell as people read it: ``"0.9923"``, ``"[0.9902, 0.9941]"``, ``"1,234"``, ``"–"``."""
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return DASH
    if isinstance(cell, tuple):
        return formatting.interval(cell)
    if isinstance(cell, str):
        return cell
    return formatting.count(cell) if isinstance(cell, int) else formatting.number(cell)


def as_csv(table: Table) -> str:
    """Comma-separated values with one line of heads; ``interval`` becomes ``interval low`` and ``interval high``."""
    columns = list(zip_longest(*table.rows)) if table.rows else [() for _ in table.heads]
    double = [any(isinstance(cell, tuple) for cell in column) for column in columns]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(
        [
            name
            for head, two in zip(table.heads, double, strict=True)
            for name in ([f"{head} low", f"{head} high"] if two else [head])
        ]
    )
    writer.writerows([_fields(row, double) for row in table.rows])
    return stream.getvalue()


def as_markdown(table: Table) -> str:
    """A table with its caption above and a list of its notes below; ends with a line feed."""
    heads, rules = [md(head) for head in table.heads], [_rule(table, i) for i in range(len(table.heads))]
    body = [[md(shown(cell)) for cell in row] for row in table.rows]
    lines = "\n".join(f"| {' | '.join(row)} |" for row in [heads, rules, *body])
    notes = "\n".join(f"- {md(note)}" for note in table.notes)
    return "\n\n".join(part for part in (md(table.caption), lines, notes) if part) + "\n"


def as_latex(table: Table) -> str:
    r"""A ``table`` for ``\usepackage{booktabs}`` in pdfLaTeX or newer; notes are comments; ends with a line feed."""
    alignment = "".join("l" if is_text(table, i) else "r" for i in range(len(table.heads)))
    lines = [f"% {' '.join(note.split())}" for note in table.notes]
    lines += [r"\begin{table}", r"  \centering"]
    lines += [rf"  \caption{{{tex(table.caption)}}}"] if table.caption else []
    lines += [rf"  \begin{{tabular}}{{{alignment}}}", r"    \toprule", _tex_row(table.heads), r"    \midrule"]
    lines += [_tex_row([shown(cell) for cell in row]) for row in table.rows]
    lines += [r"    \bottomrule", r"  \end{tabular}", r"\end{table}"]
    return "\n".join(lines) + "\n"


def md(value: str) -> str:
    """Plain text that Markdown shows as it is, on one line: without markup, HTML or the end of a table cell."""
    return _SPECIAL.sub(r"\\\1", " ".join(value.split()))


def fenced(command: str) -> str:
    """A command as a block of Markdown that nothing in the command can end."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", command)), default=0))
    return f"{fence}sh\n{command}\n{fence}"


def md_code(value: str) -> str:
    """A code span; its fence is longer than any backticks inside."""
    fence = "`" * (1 + max(map(len, re.findall("`+", value)), default=0))
    return f"{fence} {value} {fence}" if "`" in value else f"`{value}`"


def tex(text: str) -> str:
    """Plain text that LaTeX sets as it is, on one line."""
    escaped = "".join(_TEX.get(character, character) for character in " ".join(text.split()))
    return _RAISED.sub(lambda found: f"$^{{{found[0].translate(_LOWERED)}}}$", escaped)


def joined(texts: Iterable[str]) -> str:
    """Several tables in one file, an empty line between them."""
    return "\n".join(texts)


def _tex_row(cells: Sequence[str]) -> str:
    # A cell that starts with a bracket would be taken for an argument of the row before it.
    return "    " + " & ".join(f"{{{text}}}" if text.startswith("[") else text for text in map(tex, cells)) + r" \\"


def _fields(row: Sequence[Cell], double: Sequence[bool]) -> list[str]:
    fields: list[str] = []
    for cell, two in zip(row, double, strict=True):
        ends: Sequence[Cell] = cell if isinstance(cell, tuple) else (cell, cell) if two else (cell,)
        fields += [
            "" if one is None or one != one else repr(one) if isinstance(one, float) else str(one) for one in ends
        ]
    return fields


def _rule(table: Table, column: int) -> str:
    return "---" if is_text(table, column) else "---:"


def is_text(table: Table, column: int) -> bool:
    """Whether a column holds words, to be set flush left; the first one always does."""
    return column == 0 or any(isinstance(row[column], str) for row in table.rows)
