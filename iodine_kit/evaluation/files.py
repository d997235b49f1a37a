"""The files of an evaluation: written once, and read by reports and comparisons."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from iodine_kit.evaluation.scoring import Scored
from iodine_kit.evaluation.tables import group_tables, long_table, metric_table
from iodine_kit.store import Artifact
from iodine_kit.tables import as_csv, as_latex, as_markdown, joined

if TYPE_CHECKING:
    import pandas as pd

SUMMARY = "summary.json"
SCENES = "scenes"
OBJECTS = "objects"
DESCRIBED = ("key", "objects", "foreground")
"""Columns of the table per scene that are no metrics."""
WHOLE = (*DESCRIBED[1:], "entity", "pixels", "slot")
"""Columns of whole numbers."""
Scores = dict[str, NDArray[np.float64]]


def write(out: Path, facts: Mapping[str, Any], scored: Scored, kind: str) -> None:
    """Write the summary in all its spellings, and the tables per scene and object as ``kind``, csv or parquet."""
    import pandas as pd  # here, because it takes a second to load

    tables = [metric_table(facts), *group_tables(facts)]
    write_summary(
        out, facts, as_csv(long_table(facts)), joined(map(as_markdown, tables)), joined(map(as_latex, tables))
    )
    described = {"key": scored.keys, "objects": scored.objects, "foreground": scored.foreground}
    write_table(pd.DataFrame({**described, **scored.values}), out / SCENES, kind)
    objects = dict(scored.table)
    keys = np.array(scored.keys, object)[objects.pop("scene")]
    write_table(pd.DataFrame({"key": keys, **objects}), out / OBJECTS, kind)


def write_summary(out: Path, facts: Mapping[str, Any], csv: str, markdown: str, latex: str) -> None:
    """Write ``summary.json``, ``.csv``, ``.md`` and ``.tex``."""
    text = json.dumps(facts, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    for suffix, content in {"json": text, "csv": csv, "md": markdown, "tex": latex}.items():
        (out / f"summary.{suffix}").write_text(content, "utf-8")


def read_scenes(evaluation: Artifact) -> pd.DataFrame:
    """A row per scene: ``key``, ``objects``, ``foreground`` (pixels), then every metric; NaN where it is undefined."""
    return _read_table(evaluation.path / SCENES)


def read_objects(evaluation: Artifact) -> pd.DataFrame:
    """A row per visible object: ``key``, ``entity``, ``pixels``, ``slot`` (−1 for none), ``iou``, ``best_iou``."""
    return _read_table(evaluation.path / OBJECTS)


def read_table(evaluation: Artifact) -> Scores:
    """The per-scene scores of an evaluation, by metric."""
    table = read_scenes(evaluation)
    return {name: table[name].to_numpy(np.float64) for name in table.columns if name not in DESCRIBED}


def write_table(table: pd.DataFrame, path: Path, kind: str) -> None:
    """Write a table as ``kind``, csv or parquet; ``path`` is without a suffix."""
    if kind == "parquet":
        table.to_parquet(path.with_suffix(".parquet"), index=False)
    else:
        table.to_csv(path.with_suffix(".csv"), index=False, lineterminator="\n")


def _read_table(path: Path) -> pd.DataFrame:
    import pandas as pd

    parquet = path.with_suffix(".parquet")
    if parquet.exists():
        return pd.read_parquet(parquet)
    # As text at first: not every pandas reads a float64 back as it was written, and a key may look like a number.
    table = pd.read_csv(path.with_suffix(".csv"), dtype=str, keep_default_na=False)
    for name in table.columns.drop("key"):
        whole = name in WHOLE
        table[name] = table[name].astype(np.int64) if whole else table[name].replace("", "nan").astype(np.float64)
    return table
