"""Write a study's findings as files for people and for programs."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from iodine_kit import tables
from iodine_kit.reporting.charts.standalone import svg, svg_to_png
from iodine_kit.reporting.study_page import StudyPage, render_study_markdown, render_study_page
from iodine_kit.studies import CSV, JSON, MARKDOWN, PAGE, PNG, SCENES, SVG
from iodine_kit.studies._findings import Cell, Estimate, Findings, Table
from iodine_kit.studies._scores import format_estimate

_PNG_WIDTH = 1200


def write(out: Path, page: StudyPage, findings: Findings, record: Mapping[str, Any]) -> None:
    """Write all files of a study; ``record`` is the part of ``study.json`` that is not in the findings."""
    figure = svg(page.plots, page.title, page.summary)
    (out / SVG).write_text(figure, "utf-8")
    (out / PNG).write_bytes(svg_to_png(figure, _PNG_WIDTH))
    if findings.picture:
        from PIL import Image

        Image.fromarray(findings.picture[0]).quantize(64).save(out / SCENES, optimize=True)
    (out / CSV).write_text(csv_of(findings.tables[0]), "utf-8")
    (out / MARKDOWN).write_text(render_study_markdown(page), "utf-8")
    (out / PAGE).write_text(render_study_page(page), "utf-8")
    content = {
        **record,
        "seen": list(findings.observations),
        "method": list(findings.method),
        "tables": [
            {"caption": table.caption, "rows": [_json_value(row) for row in table.rows]} for table in findings.tables
        ],
        "facts": _json_value(findings.facts),
    }
    (out / JSON).write_text(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n", "utf-8")


def as_text(table: Table) -> tables.Table:
    """The table with estimates as text."""
    rows = [[_text_cell(row[name]) for name in table.columns] for row in table.rows]
    return tables.Table(list(table.columns.values()), rows, table.caption)


def csv_of(table: Table) -> str:
    """The table for programs: an estimate has columns for its mean, its ends and its number of scenes; NaN is empty."""
    rows: list[dict[str, Any]] = []
    for row in table.rows:
        flat: dict[str, Any] = {}
        for name in table.columns:
            cell = row[name]
            flat |= _csv_columns(name, cell) if isinstance(cell, Estimate) else {name: _csv_value(cell)}
        rows.append(flat)
    heads = list(dict.fromkeys(name for row in sorted(rows, key=len, reverse=True) for name in row))
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, heads, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def _csv_columns(name: str, value: Estimate) -> dict[str, Any]:
    columns = {name: value.mean, f"{name}_low": value.low, f"{name}_high": value.high, f"{name}_n": value.n}
    return {column: _csv_value(part) for column, part in columns.items()}


def _csv_value(value: float | int | str) -> Any:
    return "" if isinstance(value, float) and not math.isfinite(value) else value


def _text_cell(cell: Cell) -> tables.Cell:
    return format_estimate(cell) if isinstance(cell, Estimate) else cell


def _json_value(value: Any) -> Any:
    """Any cell or fact as JSON; NaN is null."""
    if isinstance(value, Estimate):
        ends = {"low": _json_value(value.low), "high": _json_value(value.high)}
        return {"mean": _json_value(value.mean), **ends, "n": value.n}
    if isinstance(value, Mapping):
        return {str(key): _json_value(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_json_value(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
