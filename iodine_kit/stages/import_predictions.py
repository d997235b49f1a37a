"""import-predictions: imports masks that another program predicted, so that they are scored like those of infer."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from iodine_kit.artifacts.dataset import DatasetFacts, check_split, dataset_info, open_split
from iodine_kit.config import build
from iodine_kit.errors import CountError, SchemaError
from iodine_kit.formatting import counted
from iodine_kit.predictions.file import PREDICTIONS, PredictionWriter
from iodine_kit.predictions.importing.config import LONGEST_NAME, ImportConfig, is_name
from iodine_kit.predictions.importing.fields import MatchedField, array_named, match_fields
from iodine_kit.predictions.importing.keys import refuse_contradiction, rows_by_key, rows_in_order, texts
from iodine_kit.predictions.importing.values import batch_of
from iodine_kit.predictions.readers import READERS, Column, reader_of
from iodine_kit.progress import Reporter
from iodine_kit.runner import Context, FactValues, Inputs, Job, Tables
from iodine_kit.store import Artifact, FileHashes, Identity, SourceFile, Store
from iodine_kit.system import storage_error
from iodine_kit.untrusted.folders import printable

VERSION = 1
TABLES = ("import",)
INPUTS = ("dataset",)
_LONGEST_SLUG = 100
_BATCH_BYTES = 32 << 20
_COPIES = 8
"""Memory of a row of masks while it is checked, as a multiple of its size in the file; an estimate."""


@dataclass(frozen=True)
class _Import:
    """An import of which everything except the values has been checked."""

    config: ImportConfig
    reader: str
    roles: Mapping[str, MatchedField]
    keys: list[str]
    rows: NDArray[np.int64]
    size: tuple[int, int]


def plan(tables: Tables, inputs: Inputs, context: Context, source: Path) -> Job:
    """Resolve the mapping, and check keys, sizes and counts of the file or folder ``source``.

    Raises:
        ConfigError: if the mapping has an unknown key or a wrong value.
        SourceError, CorruptDataError: if the file does not exist or is damaged.
        SchemaError, ImageSizeError, CountError: if it does not hold masks of these scenes.
    """
    dataset, reporter = inputs["dataset"], context.reporter
    config = _with_only_split(configure(tables), tables, dataset, reporter)
    reader = reader_of(source)
    plugin = READERS.load(reader)
    columns = plugin.columns(source)
    info = dataset_info(dataset)
    known = _known(dataset, config)
    roles = match_fields(str(source), columns, config, info)
    count = next(iter(roles.values())).sizes["N"]
    first = f"the first {config.scenes} scenes of " if config.scenes else ""
    rows = _rows(source, columns, config, known, count, f"{first}split '{config.split}' of {dataset.path}", reporter)
    _note_arrays(source, columns, roles, config, reporter)
    work = _Import(config, reader, roles, known, rows, (info.height, info.width))
    identity = Identity(
        kind="predictions",
        name=f"{_slug(config.model)}-{info.dataset}",
        stage="import-predictions",
        version=VERSION,
        plugins={f"foreign/{reader}": plugin.VERSION},
        config={"import": config.model_dump(mode="json")},
        inputs={"dataset": dataset.reference},
        sources=(_identified(source, plugin.files(source), context.store),),
    )
    return Job(identity, lambda out: _make(work, out, reporter))


def model_of(source: Path) -> str:
    """The name of a file or folder as the name of a model: without the suffix of a file, and made to fit."""
    path = source.resolve()
    name = path.name if path.is_dir() else path.stem
    fit = printable(name)[:LONGEST_NAME].strip()
    return fit if is_name(fit) else "model"


def configure(tables: Tables) -> ImportConfig:
    """Validate the table."""
    return build(ImportConfig, tables.get("import", {}), "import")


def _with_only_split(config: ImportConfig, tables: Tables, dataset: Artifact, reporter: Reporter) -> ImportConfig:
    """Without a choice, the only split of a data set instead of the usual one."""
    splits = list(DatasetFacts.of(dataset).splits)
    if "split" in tables.get("import", {}) or len(splits) != 1 or config.split in splits:
        return config
    reporter.note(f"note: import.split={splits[0]}, the only split of {dataset.path}")
    return config.model_copy(update={"split": splits[0]})


def _known(dataset: Artifact, config: ImportConfig) -> list[str]:
    available = check_split(dataset, config.split)
    if config.scenes is not None and config.scenes > available:
        raise CountError(f"{dataset.path}: split '{config.split}' has {available} scenes, not {config.scenes}")
    with closing(open_split(dataset, config.split)) as scenes:
        return scenes.keys()[: config.scenes]


def _rows(
    source: Path,
    columns: Mapping[str, Column],
    config: ImportConfig,
    known: list[str],
    count: int,
    where: str,
    reporter: Reporter,
) -> NDArray[np.int64]:
    place = str(source)
    name = array_named(place, columns, config, "key")
    if name is None:
        if config.order == "keys":
            raise SchemaError(
                f"{place}: no array is called '{config.key}': name the array of the scenes' keys with import.key, "
                "or set import.order = 'dataset' if the rows are in the split's order"
            )
        return rows_in_order(count, known, place, where)
    found = (columns[name].shape or (0,))[0]
    if found != count:
        raise CountError(f"{place}: there are {found} keys and {count} masks; write one for each")
    keys = texts(columns[name], f"{place}: {name}")
    if config.order == "keys":
        return rows_by_key(keys, known, place, where, reporter)
    rows = rows_in_order(count, known, place, where)
    refuse_contradiction(keys, known, place)
    return rows


def _note_arrays(
    source: Path,
    columns: Mapping[str, Column],
    roles: Mapping[str, MatchedField],
    config: ImportConfig,
    reporter: Reporter,
) -> None:
    read = ", ".join(f"{role.name} {list(role.column.shape)} as {field}" for field, role in roles.items())
    unused = sorted(set(columns) - {role.name for role in roles.values()} - {config.key})
    reporter.note(f"{source}: reading {read}" + (f"; unused: {', '.join(unused)}" if unused else ""))


def _make(work: _Import, out: Path, reporter: Reporter) -> FactValues:
    config, count, highest = work.config, len(work.keys), -1
    size, remarks = _batch_size(work.roles), Counter[str]()
    with PredictionWriter(out / PREDICTIONS, count) as writer, reporter.track("import", count) as advance:
        for start in range(0, count, size):
            rows = work.rows[start : start + size]
            batch = batch_of(work.roles, config, work.size, rows, work.keys[start : start + size], remarks)
            highest = max(highest, int(batch.mask.max()))
            writer.append(batch)
            advance(len(rows))
    for text, scenes in remarks.items():
        reporter.note(f"note: {counted(scenes, 'scene')} {text}")
    planes = [role.sizes["K"] for role in work.roles.values() if "K" in role.sizes]
    arrays = {field: {"name": role.name, "axes": role.axes} for field, role in work.roles.items()}
    if planes and highest >= planes[0]:
        place = work.roles["mask"].place
        raise SchemaError(f"{place}: a label is {highest} after import.first_label, and there are {planes[0]} slots")
    return {
        "scenes": count,
        "split": config.split,
        "slots": planes[0] if planes else highest + 1,
        "steps": None,
        "restarts": 1,
        "model": config.model,
        "named": config.named,
        "resized": _resized(work),
        "imported": {"mapping": config.model_dump(mode="json"), "reader": work.reader, "arrays": arrays},
    }


def _resized(work: _Import) -> str:
    """How the masks were resized, as the first part of the sentence on resizing in results; "" if they were not."""
    role = next(work.roles[field] for field in ("soft_mask", "mask") if field in work.roles)
    size, wanted = (role.sizes["H"], role.sizes["W"]), work.size
    if size == wanted:
        return ""
    return (
        f"predicted masks of {size[0]}×{size[1]} pixels were imported at {wanted[0]}×{wanted[1]} by nearest neighbour; "
    )


def _batch_size(roles: Mapping[str, MatchedField]) -> int:
    row = sum(role.column.dtype.itemsize * int(np.prod(role.column.shape[1:])) for role in roles.values())
    return max(1, min(256, _BATCH_BYTES // max(1, _COPIES * row)))


def _identified(source: Path, files: list[Path], store: Store) -> SourceFile:
    """Hash a file, or a folder by the contents and names of all its files; the names are the scenes' keys."""

    def name_of(file: Path) -> str:
        return printable(file.relative_to(source).as_posix() if source.is_dir() else file.name)

    try:
        with closing(FileHashes(store.root / ".cache" / "hashes.sqlite")) as hashes:
            found = [(name_of(file), hashes.sha256(file), file.stat().st_size) for file in files]
    except OSError as error:
        raise storage_error(error, error.filename or source) from error
    total = sum(size for *_, size in found)
    digest = found[0][1]
    if source.is_dir() or len(found) > 1:
        digest = hashlib.sha256(
            "".join(f"{name} {sha256} {size}\n" for name, sha256, size in found).encode()
        ).hexdigest()
    return SourceFile(
        name=printable(source.resolve().name), sha256=digest, bytes=total, location=printable(str(source))
    )


def _slug(model: str) -> str:
    """A name as the directory of an artifact needs it; models with the same one differ in the key that follows."""
    plain = unicodedata.normalize("NFKD", model).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9._]+", "-", plain).strip("-._")[:_LONGEST_SLUG] or "model"
