"""DeepMind's multi_object_datasets (Kabra et al. 2019): TFRecord files, one scene or one video per record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from iodine_kit import config as configuration
from iodine_kit.errors import CorruptDataError, SchemaError
from iodine_kit.layouts import Expected, Item, Wanted
from iodine_kit.layouts._arrays import exclusive_index, other_dataset, wrong_file
from iodine_kit.records import Array, Bytes, Scene
from iodine_kit.tfrecord import (
    FieldSpec,
    RawExample,
    check_features,
    decode,
    parse_record,
    read_expected,
    read_frames,
    read_records,
    verify,
)
from iodine_kit.untrusted.folders import any_below, files_below

VERSION = 1
SUMMARY = "DeepMind's multi_object_datasets: TFRecord files, GZIP, ZLIB or plain"
DATASETS = ("clevr", "multi-dsprites", "tetrominoes", "objects-room", "cater")
PREPROCESS: dict[str, dict[str, object]] = {}
OWN_SPLITS = False
NAMES_MATTER = False

_PATTERN = "*.tfrecord*"


class Config(configuration.Config):
    """No options: files say themselves how they are compressed."""


def recognises(path: Path) -> bool:
    """Whether it is a TFRecord file, or a folder with such files. See :class:`iodine_kit.layouts.LayoutPlugin`."""
    if path.is_dir():
        return any_below(path, _PATTERN)
    # GZIP and ZLIB do not say what they contain, so the name or the content must.
    return ".tfrecord" in path.name or (path.is_file() and _holds_records(path))


def files(paths: Sequence[Path], config: Config) -> list[Path]:
    """The given files, and those in folders by name."""
    return files_below(paths, _PATTERN)


def items(paths: Sequence[Path], expected: Expected, config: Config) -> Iterator[Item]:
    """The records of each file in turn."""
    return (item for _, item in numbered_items(paths, expected, config, lambda number, item: True))


def numbered_items(
    paths: Sequence[Path], expected: Expected, config: Config, wanted: Wanted
) -> Iterator[tuple[int, Item]]:
    """The records of each file in turn that are wanted; of plain files, the others are not read."""
    first = 0
    for path in files(paths, config):
        passed = 0

        def counted(index: int, first: int = first) -> bool:
            nonlocal passed
            passed = index + 1
            return wanted(first + index, None)

        for index, offset, payload, checksum in read_frames(path, counted):
            yield first + index, Item(f"{path}: record {index}", (path, index, offset, payload, checksum))
        first += passed


def scenes(item: Item, key: str, expected: Expected, config: Config) -> list[Scene]:
    """Verify, parse and shape one record; a video gives a scene per frame."""
    verify(*item.payload)
    arrays = read_expected(item.payload[3], expected.fields)
    if arrays is None:
        arrays = _arrays(parse_record(*item.payload[:-1]), expected)
    image, mask = arrays.pop("image"), arrays.pop("mask")
    if image.ndim == 4:
        return _frames(key, image, mask, arrays, item.place)
    owned = mask[..., 0] > 127
    if mask.shape[:2] == image.shape[:2]:
        owned = np.moveaxis(owned, -1, 0)
    if image.shape[2] == 1:
        image = np.repeat(image, 3, axis=2)
    return [Scene(key, image, exclusive_index(owned, item.place), arrays)]


def _arrays(raw: RawExample, expected: Expected) -> dict[str, Array]:
    """The record's features in the expected shapes; the error for other features names their data set."""
    try:
        check_features(raw, expected.fields)
        return decode(raw, expected.fields)
    except SchemaError as error:
        if other := other_dataset(expected, lambda fields: _fits(raw, fields)):
            raise wrong_file(f"{raw.path}: record {raw.index}", other, expected) from error
        raise


def _fits(raw: RawExample, fields: Mapping[str, FieldSpec]) -> bool:
    try:
        check_features(raw, fields)
        decode(raw, fields)
    except SchemaError:
        return False
    return True


def _frames(key: str, image: Bytes, mask: Bytes, factors: Mapping[str, Array], place: str) -> list[Scene]:
    """CATER: ``image[T, H, W, 3]``, ``mask[T, N, H, W, 1]``; frames have those factors that vary with time."""
    positions = np.moveaxis(factors["object_positions"], 1, 0)  # published as [N, T, 3]
    scenes = []
    for frame in range(len(image)):
        own = {"camera_matrix": factors["camera_matrix"][frame], "object_positions": positions[frame]}
        owned = exclusive_index(mask[frame, ..., 0] > 127, f"{place}, frame {frame}")
        scenes.append(Scene(f"{key}-{frame:02d}", image[frame], owned, own))
    return scenes


def _holds_records(path: Path) -> bool:
    try:
        return next(read_records(path), None) is not None
    except CorruptDataError:
        return False
