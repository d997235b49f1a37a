"""Findings as files: what people read and what programs read."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from iodine_kit import tables
from iodine_kit.reporting.charts.standalone import svg
from iodine_kit.reporting.study_page import StudyPage, render_study_markdown, render_study_page
from iodine_kit.reporting.svg_to_png import png_of
from iodine_kit.studies._findings import Cell, Estimate, Findings, Table
from iodine_kit.studies._scores import told

PAGE, MARKDOWN, JSON, CSV, SVG, PNG = "index.html", "study.md", "study.json", "table.csv", "figure.svg", "figure.png"
SCENES = "scenes.png"
COPIED = (MARKDOWN, SVG, PNG, CSV, JSON, SCENES)
_PNG_WIDTH = 1200


def write(out: Path, page: StudyPage, findings: Findings, record: Mapping[str, Any]) -> None:
    """Write all files of a study; ``record`` is what ``study.json`` holds beside the findings."""
    picture = svg(page.plots, page.title, page.summary)
    (out / SVG).write_text(picture, "utf-8")
    (out / PNG).write_bytes(png_of(picture, _PNG_WIDTH))
    if findings.picture:
        Image.fromarray(findings.picture[0]).quantize(64).save(out / SCENES, optimize=True)
    (out / CSV).write_text(csv_of(findings.tables[0]), "utf-8")
    (out / MARKDOWN).write_text(render_study_markdown(page), "utf-8")
    (out / PAGE).write_text(render_study_page(page), "utf-8")
    content = {
        **record,
        "seen": list(findings.seen),
        "method": list(findings.method),
        "tables": [
            {"caption": table.caption, "rows": [_plain(row) for row in table.rows]} for table in findings.tables
        ],
        "facts": _plain(findings.facts),
    }
    (out / JSON).write_text(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n", "utf-8")


def as_text(table: Table) -> tables.Table:
    """The table as people read it."""
    rows = [[_cell(row[name]) for name in table.columns] for row in table.rows]
    return tables.Table(list(table.columns.values()), rows, table.caption)


def csv_of(table: Table) -> str:
    """The table for programs: an estimate has columns for its ends and its number of scenes, NaN is empty."""
    rows: list[dict[str, Any]] = []
    for row in table.rows:
        flat: dict[str, Any] = {}
        for name in table.columns:
            cell = row[name]
            flat |= _spelled(name, cell) if isinstance(cell, Estimate) else {name: _csv_value(cell)}
        rows.append(flat)
    heads = list(dict.fromkeys(name for row in sorted(rows, key=len, reverse=True) for name in row))
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, heads, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def _spelled(name: str, value: Estimate) -> dict[str, Any]:
    ends = {name: value.mean, f"{name}_low": value.low, f"{name}_high": value.high, f"{name}_n": value.n}
    return {key: _csv_value(part) for key, part in ends.items()}


def _csv_value(value: float | int | str) -> Any:
    return "" if isinstance(value, float) and not math.isfinite(value) else value


def _cell(cell: Cell) -> tables.Cell:
    return told(cell) if isinstance(cell, Estimate) else cell


def _plain(value: Any) -> Any:
    """JSON of any cell or fact; NaN is null."""
    if isinstance(value, Estimate):
        return {"mean": _plain(value.mean), "low": _plain(value.low), "high": _plain(value.high), "n": value.n}
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
