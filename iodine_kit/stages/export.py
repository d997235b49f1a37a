"""export: write a prepared data set as TFRecord files in the layout of DeepMind's multi_object_datasets.

The result is not an artifact: the user chooses the folder. The same data set always gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np

from iodine_kit.artifacts.dataset import DatasetFacts, check_split, open_split, require_masks
from iodine_kit.config import build
from iodine_kit.datasets import DATASETS
from iodine_kit.errors import ResumeError, SchemaError
from iodine_kit.formats import Reader
from iodine_kit.progress import Advance, Reporter
from iodine_kit.records import Array, Bytes, Scene
from iodine_kit.store import Artifact
from iodine_kit.tfrecord import Compression, FieldSpec, serialize_example, write_records

Fields = Mapping[str, FieldSpec]


def is_video(fields: Fields) -> bool:
    """Whether a record is a video instead of one scene."""
    return len(fields["image"].shape) == 4


def factors_of(fields: Fields) -> dict[str, FieldSpec]:
    """All features except image and mask."""
    return {name: spec for name, spec in fields.items() if name not in ("image", "mask")}


def scene_features(scene: Scene, fields: Fields) -> dict[str, Array]:
    """The features of one scene, with the dtypes and shapes of ``fields``.

    Raises:
        SchemaError: if a feature does not fit, or would lose information.
    """
    image, mask = fields["image"].shape, fields["mask"].shape
    entities_last = mask[:2] == image[:2]
    entities = mask[2] if entities_last else mask[0]
    features = {
        "image": _image(scene, image[2]),
        "mask": _one_hot(scene, entities, -1 if entities_last else 0)[..., None],
    }
    return features | {name: _factor(scene, name, spec) for name, spec in factors_of(fields).items()}


def video_features(frames: Sequence[Scene], fields: Fields) -> dict[str, Array]:
    """The features of all frames of one CATER video; positions are published as ``[N, T, 3]``, one frame is ``[N, 3]``.

    Raises:
        SchemaError: if frames are missing, or a feature does not fit or would lose information.
    """
    length, entities = fields["mask"].shape[:2]
    numbers = [scene.key.rpartition("-")[2] for scene in frames]
    if numbers != [f"{number:02d}" for number in range(length)]:
        raise SchemaError(
            f"{frames[0].key}: this video has {len(frames)} stored frames instead of all {length} in order: "
            "prepare it without a filter"
        )
    return {
        "image": np.stack([scene.image for scene in frames]),
        "mask": np.stack([_one_hot(scene, entities, 0)[..., None] for scene in frames]),
        "camera_matrix": _over_time(frames, "camera_matrix", 0, fields),
        "object_positions": _over_time(frames, "object_positions", 1, fields),
    }


def _over_time(frames: Sequence[Scene], name: str, axis: int, fields: Fields) -> Array:
    spec = fields[name]
    one = FieldSpec(spec.dtype, spec.shape[:axis] + spec.shape[axis + 1 :])
    return np.stack([_factor(scene, name, one) for scene in frames], axis)


def _image(scene: Scene, channels: int) -> Bytes:
    """All channels, or a single one if the published images are grey."""
    if channels == 3:
        return scene.image
    if (scene.image != scene.image[..., :1]).any():
        raise SchemaError(f"{scene.key}: is coloured, but the published images have one channel")
    return scene.image[..., :1]


def _one_hot(scene: Scene, entities: int, axis: int) -> Bytes:
    """The mask as 0 and 255 per entity, ``uint8[N, H, W]``; ``axis`` is the position of N."""
    if scene.mask.max() >= entities:
        raise SchemaError(f"{scene.key}: its mask has entity {scene.mask.max()}, but a record has at most {entities}")
    owned = scene.mask == np.arange(entities, dtype=np.uint8)[:, None, None]
    return np.ascontiguousarray(np.moveaxis(np.where(owned, np.uint8(255), np.uint8(0)), 0, axis))


def _factor(scene: Scene, name: str, spec: FieldSpec) -> Array:
    """A factor in its published dtype; values of an integer type must be integers."""
    values = scene.factors[name]
    if values.shape != spec.shape:
        raise SchemaError(
            f"{scene.key}: '{name}' has shape {list(values.shape)}, but was published as {list(spec.shape)}"
        )
    cast = values.astype(spec.dtype)
    if np.issubdtype(spec.dtype, np.integer) and not np.array_equal(cast, values):
        raise SchemaError(f"{scene.key}: '{name}' has values that {np.dtype(spec.dtype)} cannot hold")
    return cast


def export(
    dataset: Artifact,
    output: Path,
    reporter: Reporter,
    *,
    splits: Sequence[str] = (),
    compression: Compression = "gzip",
    overwrite: bool = False,
) -> dict[Path, int]:
    """Write one file per split to the folder ``output``, and return the number of records of each.

    Args:
        dataset: a data set artifact.
        output: a folder, which is created if necessary.
        reporter: receives the progress, and the factors that a record cannot contain.
        splits: names of splits; defaults to all.
        compression: compression of the files.
        overwrite: replace existing files.

    Raises:
        SchemaError: the data set has no published layout, or its scenes do not fit it or have no masks.
        CountError: a split does not exist.
        ResumeError: a file exists already.
        StorageError: the operating system refuses to write.
    """
    fields = published_fields(dataset)
    names = tuple(dict.fromkeys(splits)) or tuple(DatasetFacts.of(dataset).splits)
    counts = {split: check_split(dataset, split) for split in names}
    for split in names:
        require_masks(dataset, split, "the published layout has a mask for every entity", "export another split")
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
    """The features of the published TFRecord file; raises :class:`SchemaError` if there is none or it does not fit."""
    config = dict(dataset.config["dataset"])
    name = config.pop("name")
    plugin = DATASETS.load(name)
    fields = plugin.fields(build(plugin.Config, config, "dataset"))
    if not fields:
        known = ", ".join(other for other in DATASETS.names() if DATASETS.load(other).SCHEMAS)
        raise SchemaError(f"{dataset.path}: {name} was not published as TFRecord files; only {known} were")
    if DatasetFacts.of(dataset).info.ignored is not None:
        raise SchemaError(
            f"{dataset.path}: its masks have pixels to ignore, and in the published layout every pixel belongs to an "
            "entity: read the files of the data set itself, which docs/data.md describes"
        )
    _check_size(dataset, fields)
    return fields


def _refuse_to_replace(paths: Iterable[Path]) -> None:
    there = [str(path) for path in paths if path.exists()]
    if there:
        more = f" (and {len(there) - 1} more)" if len(there) > 1 else ""
        raise ResumeError(f"{there[0]}: exists already{more}; replace it with --overwrite")


def _records(reader: Reader, fields: Fields, advance: Advance) -> Iterator[bytes]:
    """Serialised scenes or videos. As published, a scene has one string per byte, and a video one per feature."""
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
    info, preprocess = DatasetFacts.of(dataset).info, dataset.config.get("preprocess", {})
    stored, published = [info.height, info.width], list(fields["image"].shape[-3:-1])
    if stored == published:
        return
    changed = preprocess.get("crop", "none") != "none" or preprocess.get("size") is not None
    advice = "prepare it with --set preprocess.crop=none" if changed else "only scenes of that size can be exported"
    raise SchemaError(
        f"{dataset.path}: its images are {_by(stored)}, those of the published layout {_by(published)}: {advice}"
    )


def _by(size: Sequence[int]) -> str:
    return "×".join(map(str, size))


def _check_factors(dataset: Artifact, fields: Fields, reporter: Reporter) -> None:
    """Check before writing that every factor exists; report additional factors, which are omitted."""
    stored, published = DatasetFacts.of(dataset).factors, factors_of(fields)
    missing, extra = sorted(published.keys() - stored.keys()), sorted(stored.keys() - published.keys())
    if missing:
        raise SchemaError(
            f"{dataset.path}: lacks the factors {', '.join(missing)} of the published layout: export another data set"
        )
    if not is_video(fields):
        for name, spec in published.items():
            _check_rows(dataset, name, stored[name].shape, spec)
    if extra:
        reporter.note(f"omitted: {', '.join(extra)}, for which the published layout has no feature")


def _check_rows(dataset: Artifact, name: str, stored: Sequence[int], spec: FieldSpec) -> None:
    if list(stored) != list(spec.shape):
        raise SchemaError(
            f"{dataset.path}: its factor '{name}' has the shape {list(stored)}, but that of the published layout has "
            f"{list(spec.shape)}: prepare it with the published number of objects"
        )
