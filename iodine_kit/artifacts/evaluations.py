"""The files of evaluations, comparisons and probes: written once, and read by reports, comparisons and studies.

``summary.json`` holds an artifact's facts, ``summary.csv`` the same for programs,
``summary.md`` and ``.tex`` for people. ``scenes`` and ``objects``, CSV or parquet, hold a row per scene and per
visible object.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from iodine_kit.artifacts.dataset import has_masks
from iodine_kit.errors import ArtifactCorruptError, SchemaError, UnknownNameError
from iodine_kit.evaluation.facts import ComparisonFacts, EvaluationFacts, ResultFacts
from iodine_kit.evaluation.probing.facts import ProbeFacts
from iodine_kit.metrics import METRICS, needs_masks
from iodine_kit.records import Floats64
from iodine_kit.store import Artifact, read_facts
from iodine_kit.store.remedies import ASK
from iodine_kit.tables import Table, as_csv, as_latex, as_markdown, joined

if TYPE_CHECKING:
    import pandas as pd

    from iodine_kit.evaluation.scene_scores import SceneScores

VERSION = 2
"""Of the stage eval; evaluations of other versions have other facts."""
SCENES = "scenes"
OBJECTS = "objects"
DESCRIBED = ("key", "objects", "foreground", "ignored")
"""Columns of the table per scene that are no metrics; ``ignored`` only where the data set has pixels to ignore."""
WHOLE = (*DESCRIBED[1:], "entity", "pixels", "slot")
"""Columns of whole numbers."""


def evaluation_facts(evaluation: Artifact) -> EvaluationFacts:
    """The facts of an evaluation; raises :class:`SchemaError` if another version of iodine-kit made it."""
    check_version(evaluation)
    return read_facts(evaluation, EvaluationFacts)


def comparison_facts(comparison: Artifact) -> ComparisonFacts:
    """The facts of a comparison."""
    return read_facts(comparison, ComparisonFacts)


def probe_facts(probe: Artifact) -> ProbeFacts:
    """The facts of a probe."""
    return read_facts(probe, ProbeFacts)


def check_masks(evaluation: Artifact, dataset: Artifact) -> None:
    """Raise :class:`SchemaError` if an older release scored masks of scenes that have none.

    Args:
        dataset: the one whose true masks the evaluation used.
    """
    facts = evaluation_facts(evaluation)
    if facts.unmasked or has_masks(dataset, facts.split):
        return
    scored = [name for name in facts.metrics if _needs_masks(name)]
    if scored:
        raise SchemaError(
            f"{evaluation.path}: an older release scored {', '.join(scored)}, but split '{facts.split}' of "
            f"{dataset.path} has no masks: evaluate again with 'iodine-kit eval --overwrite'"
        )


def _needs_masks(name: str) -> bool:
    try:
        return needs_masks(METRICS.load(name))
    except UnknownNameError:  # a metric of another package that is not installed here
        return False


def check_version(evaluation: Artifact) -> None:
    """Raise :class:`SchemaError` if another version of the stage made this evaluation."""
    if evaluation.manifest.identity.version != VERSION:
        raise SchemaError(
            f"{evaluation.path} was evaluated by another version of iodine-kit: evaluate again with 'iodine-kit eval'"
        )


def write_summary(out: Path, facts: ResultFacts, long: Table, tables: Sequence[Table]) -> None:
    """Write ``summary.json``, ``long`` as ``.csv``, and ``tables`` as ``.md`` and ``.tex``."""
    (out / "summary.json").write_text(as_text(facts), "utf-8")
    (out / "summary.csv").write_text(as_csv(long), "utf-8")
    (out / "summary.md").write_text(joined(map(as_markdown, tables)), "utf-8")
    (out / "summary.tex").write_text(joined(map(as_latex, tables)), "utf-8")


def as_text(facts: ResultFacts) -> str:
    """Facts as the text of a JSON file."""
    return json.dumps(facts.as_json(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def write_scores(out: Path, scores: SceneScores, kind: str) -> None:
    """Write the tables per scene and per object as ``kind``, csv or parquet."""
    import pandas as pd  # takes a second to load

    counts = {"objects": scores.objects, "foreground": scores.foreground, "ignored": scores.ignored}
    described = {"key": scores.keys, **{name: column for name, column in counts.items() if column is not None}}
    write_table(pd.DataFrame({**described, **scores.values}), out / SCENES, kind)
    objects = dict(scores.table)
    keys = np.array(scores.keys, object)[objects.pop("scene")]
    write_table(pd.DataFrame({"key": keys, **objects}), out / OBJECTS, kind)


def write_table(table: pd.DataFrame, path: Path, kind: str) -> None:
    """Write a table as ``kind``, csv or parquet; ``path`` is without a suffix."""
    if kind == "parquet":
        table.to_parquet(path.with_suffix(".parquet"), index=False)
    else:
        table.to_csv(path.with_suffix(".csv"), index=False, lineterminator="\n")


def read_scenes(evaluation: Artifact) -> pd.DataFrame:
    """A row per scene: ``key``, ``objects``, ``foreground`` (pixels), then every metric; NaN where it is undefined.

    Scenes without masks have no columns ``objects`` and ``foreground``. If the data set has pixels to ignore, the
    column ``ignored`` holds their number.
    """
    return _read_table(evaluation.path / SCENES)


def read_objects(evaluation: Artifact) -> pd.DataFrame:
    """A row per visible object: ``key``, ``entity``, ``pixels``, ``slot`` (−1 for none), ``iou``, ``best_iou``."""
    return _read_table(evaluation.path / OBJECTS)


def read_scores(evaluation: Artifact) -> dict[str, Floats64]:
    """The scores of an evaluation's N scenes by metric, ``float64[N]``; NaN where undefined."""
    table = read_scenes(evaluation)
    return {name: table[name].to_numpy(np.float64) for name in table.columns if name not in DESCRIBED}


def _read_table(path: Path) -> pd.DataFrame:
    parquet = path.with_suffix(".parquet")
    file = parquet if parquet.exists() else path.with_suffix(".csv")
    try:
        return _parsed(file)
    except (ValueError, LookupError, OverflowError) as error:  # large files are not hashed when they are used
        reason = str(error).partition("\n")[0]
        raise ArtifactCorruptError(f"{file}: is damaged ({reason}); {ASK}") from None


def _parsed(file: Path) -> pd.DataFrame:
    import pandas as pd

    if file.suffix == ".parquet":
        return pd.read_parquet(file)
    # As text at first: not every pandas reads a float64 back as it was written, and a key may look like a number.
    table = pd.read_csv(file, dtype=str, keep_default_na=False)
    for name in table.columns.drop("key"):
        whole = name in WHOLE
        table[name] = table[name].astype(np.int64) if whole else table[name].replace("", "nan").astype(np.float64)
    return table
