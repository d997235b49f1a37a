"""croissant: describe a prepared data set in JSON-LD, by the vocabulary Croissant, for catalogues and search engines.

The result is not an artifact: the user chooses the folder, and adds to the description what this package cannot know.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from iodine_kit.artifacts.dataset import DatasetFacts, check_split
from iodine_kit.errors import ArtifactCorruptError, ResumeError
from iodine_kit.new_file import put_in_place
from iodine_kit.progress import Reporter
from iodine_kit.stages.croissant.document import croissant, files_of
from iodine_kit.store import Artifact, FileRecord, file_sha256
from iodine_kit.store.remedies import ASK
from iodine_kit.system import require_free_space, storage_errors

FILE = "croissant.json"
USUAL = ("license", "citeAs", "creator", "url")
"""Properties that readers of Croissant look for, and that only the user may know."""


def export_croissant(
    dataset: Artifact,
    output: Path,
    reporter: Reporter,
    *,
    splits: Sequence[str] = (),
    url: str = "",
    overwrite: bool = False,
) -> list[Path]:
    """Write ``croissant.json`` to a folder, and beside it copies of the files that it describes.

    Args:
        dataset: a data set artifact.
        output: a folder, which is created if necessary.
        reporter: receives the progress, and which properties the user should add.
        splits: names of splits; defaults to all.
        url: the address at which the files are published. With it, they are not copied.
        overwrite: replace existing files.

    Returns:
        the files that were written, ``croissant.json`` first.

    Raises:
        ArtifactCorruptError: a file of the data set was altered.
        CountError: a split does not exist.
        ResumeError: a file exists already.
        StorageError: the operating system refuses to write.
    """
    names = tuple(dict.fromkeys(splits)) or tuple(DatasetFacts.of(dataset).splits)
    for split in names:
        check_split(dataset, split)
    document = croissant(dataset, names, url)
    files = {} if url else files_of(dataset, names)
    paths = [output / FILE, *(output / name for name in files)]
    existing = [path for path in paths if path.exists()]
    if existing and not overwrite:
        raise ResumeError(f"{existing[0]}: exists already; replace it with --overwrite")
    with storage_errors(output, "written"):
        output.mkdir(parents=True, exist_ok=True)
        size = sum(record.bytes for record in files.values())
        require_free_space(output, size)
        with reporter.track("copy", size) as advance:
            for name, record in files.items():
                _copy(dataset.path / name, output / name, record)
                advance(record.bytes)
        (output / FILE).write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", "utf-8")
    if lacking := [name for name in USUAL if name not in document]:
        reporter.note(f"{output / FILE}: add {', '.join(lacking)} before you publish it")
    return paths


def _copy(source: Path, target: Path, record: FileRecord) -> None:
    part = target.with_name(f".{target.name}.part")
    try:
        shutil.copyfile(source, part)
        if file_sha256(part) != record.sha256:
            raise ArtifactCorruptError(f"{source}: was altered; {ASK}")
        put_in_place(part, target)
    finally:
        part.unlink(missing_ok=True)
