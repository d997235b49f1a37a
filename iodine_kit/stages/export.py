"""export: a prepared data set becomes TFRecord files as DeepMind's multi_object_datasets has them.

Not an artifact: the files go where a person says. The same data set gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path

from iodine_kit.config import build
from iodine_kit.errors import ResumeError, SchemaError
from iodine_kit.formats import Reader
from iodine_kit.progress import Advance, Reporter
from iodine_kit.records import Scene
from iodine_kit.stages.prepare import DATASETS
from iodine_kit.stages.published import Fields, factors_of, is_video, scene_features, video_features
from iodine_kit.stages.split import check_split, open_split
from iodine_kit.store import Artifact
from iodine_kit.tfrecord import Compression, FieldSpec, serialize_example, write_records


def export(
    dataset: Artifact,
    output: Path,
    reporter: Reporter,
    *,
    splits: Sequence[str] = (),
    compression: Compression = "gzip",
    overwrite: bool = False,
) -> dict[Path, int]:
    """Write a file per split into the folder ``output``, and return the number of records of each.

    Args:
        dataset: a data set artifact.
        output: a folder, created if it is not there.
        reporter: is told how far it is, and what has no place in a record.
        splits: names; none means all.
        compression: of the files.
        overwrite: replace files that are there.

    Raises:
        SchemaError: the data set has no published layout, or its scenes do not fit it.
        CountError: there is no such split.
        ResumeError: a file is there already.
        StorageError: the operating system refuses to write.
    """
    fields = published_fields(dataset)
    names = tuple(dict.fromkeys(splits)) or tuple(dataset.facts["splits"])
    counts = {split: check_split(dataset, split) for split in names}
    paths = {split: output / f"{dataset.manifest.identity.name}_{split}.tfrecords" for split in names}
    if not overwrite:
        _refuse_to_replace(paths.values())
    _check_factors(dataset, fields, reporter)
    output.mkdir(parents=True, exist_ok=True)
    written: dict[Path, int] = {}
    with reporter.track("export", sum(counts.values())) as advance:
        for split, path in paths.items():
            reader = open_split(dataset, split)
            try:
                written[path] = write_records(path, _records(reader, fields, advance), compression)
            finally:
                reader.close()
    return written


def published_fields(dataset: Artifact) -> Fields:
    """The features of the file in which the data set was published; raises :class:`SchemaError` if there is none."""
    config = dict(dataset.config["dataset"])
    name = config.pop("name")
    plugin = DATASETS.load(name)
    fields = plugin.fields(build(plugin.Config, config, "dataset"))
    if not fields:
        known = ", ".join(other for other in DATASETS.names() if DATASETS.load(other).SCHEMAS)
        raise SchemaError(f"{dataset.path}: {name} was never published as TFRecord files; only {known} were")
    _check_size(dataset, fields)
    return fields


def _refuse_to_replace(paths: Iterable[Path]) -> None:
    there = [str(path) for path in paths if path.exists()]
    if there:
        raise ResumeError(f"{there[0]}: is there already{', like others' * (len(there) > 1)}: add --overwrite")


def _records(reader: Reader, fields: Fields, advance: Advance) -> Iterator[bytes]:
    """Serialised scenes, or videos; a video's pictures are one string each, unlike all others' single bytes."""
    scenes = _read(reader, advance)
    if not is_video(fields):
        return (serialize_example(scene_features(scene, fields)) for scene in scenes)
    videos = groupby(scenes, lambda scene: scene.key.rpartition("-")[0])
    return (serialize_example(video_features(list(frames), fields), per_byte=False) for _, frames in videos)


def _read(reader: Reader, advance: Advance) -> Iterator[Scene]:
    for index in range(len(reader)):
        yield reader.scene(index)
        advance(1)


def _check_size(dataset: Artifact, fields: Fields) -> None:
    info, preprocess = dataset.facts["info"], dataset.config.get("preprocess", {})
    stored, published = [info["height"], info["width"]], list(fields["image"].shape[-3:-1])
    if stored == published:
        return
    changed = preprocess.get("crop", "none") != "none" or preprocess.get("size") is not None
    advice = "prepare it with --no-crop" if changed else "only scenes of that size have a place in it"
    raise SchemaError(
        f"{dataset.path}: its images are {_by(stored)} and those of the published layout {_by(published)}: {advice}"
    )


def _by(size: Sequence[int]) -> str:
    return "×".join(map(str, size))


def _check_factors(dataset: Artifact, fields: Fields, reporter: Reporter) -> None:
    """Before anything is written: every factor has to be there; one too many is left out, not in silence."""
    stored, published = dataset.facts["factors"], factors_of(fields)
    missing, extra = sorted(published.keys() - stored.keys()), sorted(stored.keys() - published.keys())
    if missing:
        raise SchemaError(
            f"{dataset.path}: lacks the factors {', '.join(missing)} of the published layout: export another data set"
        )
    if not is_video(fields):
        for name, spec in published.items():
            _check_rows(dataset, name, stored[name]["shape"], spec)
    if extra:
        reporter.note(f"left out: {', '.join(extra)}, for which the published layout has no feature")


def _check_rows(dataset: Artifact, name: str, stored: Sequence[int], spec: FieldSpec) -> None:
    if list(stored) != list(spec.shape):
        raise SchemaError(
            f"{dataset.path}: its factor '{name}' is {list(stored)} per scene and that of the published layout "
            f"{list(spec.shape)}: prepare it with as many objects as published"
        )
