"""From file to arrays: a file of DeepMind's, written files are read back, and schema errors name the features."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from iodine_kit.errors import CorruptDataError, SchemaError, SourceError
from iodine_kit.tfrecord import (
    Compression,
    FieldSpec,
    RawExample,
    check_features,
    decode,
    parse_example,
    read_examples,
    read_records,
    serialize_example,
    sniff,
    write_records,
)

PUBLISHED = Path(__file__).parents[2] / "data" / "tetrominoes_mini.tfrecords"
TETROMINOES = {
    "image": FieldSpec(np.uint8, (35, 35, 3)),
    "mask": FieldSpec(np.uint8, (4, 35, 35, 1)),
    "x": FieldSpec(np.float32, (4,)),
    "y": FieldSpec(np.float32, (4,)),
    "shape": FieldSpec(np.float32, (4,)),
    "color": FieldSpec(np.float32, (4, 3)),
    "visibility": FieldSpec(np.float32, (4,)),
}


# A file of DeepMind's


def test_the_published_file_has_its_recorded_checksum() -> None:
    digest = hashlib.sha256(PUBLISHED.read_bytes()).hexdigest()
    assert digest in PUBLISHED.with_name("README.md").read_text(encoding="utf-8")


def test_the_published_file_has_ten_records_of_its_schema() -> None:
    assert sniff(PUBLISHED) == "gzip"
    assert [(i, offset, len(payload)) for i, offset, payload in read_records(PUBLISHED)] == [
        (i, 25_960 * i, 25_944) for i in range(10)
    ]
    for index, raw in enumerate(read_examples(PUBLISHED)):
        assert (raw.path, raw.index, raw.offset) == (PUBLISHED, index, 25_960 * index)
        check_features(raw, TETROMINOES)
        arrays = decode(raw, TETROMINOES)
        assert {name: (a.dtype, a.shape) for name, a in arrays.items()} == {
            name: (np.dtype(spec.dtype), spec.shape) for name, spec in TETROMINOES.items()
        }


def test_published_scenes_are_plausible() -> None:
    for raw in read_examples(PUBLISHED):
        scene = decode(raw, TETROMINOES)
        assert set(np.unique(scene["mask"])) == {0, 255}
        owners = (scene["mask"] == 255).sum(axis=0)
        assert (owners == 1).all()  # each pixel belongs to one entity
        assert (scene["image"][scene["mask"][0, :, :, 0] == 255] == 0).all()  # entity 0, the background, is black
        assert scene["visibility"].tolist() == [1, 1, 1, 1]
        assert set(scene["shape"][1:].tolist()) <= set(range(1, 20))
        for entity in (1, 2, 3):
            rows, columns = np.nonzero(scene["mask"][entity, :, :, 0])
            assert rows.size == 4 * 25  # four cells of 5×5 pixels
            assert (rows.min(), columns.min()) == (scene["x"][entity], scene["y"][entity])


def test_published_records_written_again_have_the_same_length_and_content(tmp_path: Path) -> None:
    path = tmp_path / "again"
    scenes = [decode(raw, TETROMINOES) for raw in read_examples(PUBLISHED)]
    write_records(path, (serialize_example(scene) for scene in scenes))
    assert {len(payload) for _, _, payload in read_records(path)} == {25_944}
    for scene, raw in zip(scenes, read_examples(path), strict=True):
        again = decode(raw, TETROMINOES)
        assert all(np.array_equal(scene[name], again[name]) for name in TETROMINOES)


# Files that this package writes


@pytest.mark.parametrize("compression", ["gzip", "zlib", "none"])
@pytest.mark.parametrize("per_byte", [True, False])
def test_every_way_of_writing_is_read(tmp_path: Path, compression: Compression, per_byte: bool) -> None:
    path = tmp_path / "file"
    arrays: dict[str, NDArray[Any]] = {
        "image": np.arange(24, dtype=np.uint8).reshape(2, 4, 3),
        "count": np.array(-3, dtype=np.int64),
        "x": np.linspace(0, 1, 5, dtype=np.float32),
    }
    write_records(path, [serialize_example(arrays, per_byte=per_byte)], compression)
    (raw,) = read_examples(path)
    specs = {
        "image": FieldSpec(np.uint8, (2, 4, 3)),
        "count": FieldSpec(np.int64, ()),
        "x": FieldSpec(np.float32, (5,)),
    }
    decoded = decode(raw, specs)
    for name, array in arrays.items():
        np.testing.assert_array_equal(decoded[name], array, strict=True)
        assert decoded[name].flags.writeable


def test_a_malformed_message_is_refused_with_its_position(tmp_path: Path) -> None:
    path = tmp_path / "file"
    good = serialize_example({"a": np.array([1, 2], np.uint8)})
    bad = good[:2] + b"\x0e" + good[3:]  # wire type 6, which does not exist
    write_records(path, [good, bad])
    examples = read_examples(path)
    next(examples)
    at = 16 + len(good) + 12 + 2
    with pytest.raises(CorruptDataError) as caught:
        next(examples)
    assert str(caught.value).startswith(
        f"{path}: record 1, byte {at} uncompressed: not a tf.train.Example (unknown wire type 6);"
    )


def test_a_missing_file_is_a_source_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="missing"):
        next(read_examples(tmp_path / "missing"))


# Schemas


def raw_example(**arrays: object) -> RawExample:
    payload = serialize_example({name: np.asarray(array) for name, array in arrays.items()})
    return RawExample(Path("some.tfrecords"), 7, 1234, parse_example(payload))


RAW = raw_example(image=np.zeros(12, np.uint8), x=np.zeros(4, np.float32))


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"image": FieldSpec(np.uint8, (2, 2, 4))}, "feature 'image' has 12 elements, not the 16 of uint8[2, 2, 4]"),
        ({"x": FieldSpec(np.float32, ())}, "feature 'x' has 4 elements, not the 1 of float32[]"),
        ({"x": FieldSpec(np.int64, (4,))}, "feature 'x' holds float values, not int64 values"),
        ({"y": FieldSpec(np.float32, (4,))}, "no feature 'y'; it has 'image', 'x'"),
    ],
)
def test_decode_names_file_record_feature_and_counts(fields: dict[str, FieldSpec], problem: str) -> None:
    with pytest.raises(SchemaError) as caught:
        decode(RAW, fields)
    assert str(caught.value) == f"some.tfrecords: record 7: {problem}"


def test_decode_ignores_other_features() -> None:
    assert list(decode(RAW, {"x": FieldSpec(np.float32, (2, 2))})) == ["x"]


@pytest.mark.parametrize(
    ("expected", "differences"),
    [
        (["image", "x", "mask"], "lacks 'mask'"),
        (["image"], "has unknown 'x'"),
        (["image", "mask"], "lacks 'mask' and has unknown 'x'"),
    ],
)
def test_check_features_names_the_features_of_the_file(expected: list[str], differences: str) -> None:
    check_features(RAW, {"x", "image"})
    with pytest.raises(SchemaError) as caught:
        check_features(RAW, expected)
    assert str(caught.value) == (
        f"some.tfrecords: record 7: {differences}; "
        "this looks like another data set's file: it has features 'image', 'x'"
    )


def test_an_example_without_features_is_described_in_words() -> None:
    with pytest.raises(SchemaError, match=r"no feature 'x'; it has none$"):
        decode(raw_example(), {"x": FieldSpec(np.float32, (1,))})


def test_a_spec_of_another_dtype_is_a_value_error() -> None:
    with pytest.raises(ValueError, match=r"np\.uint8, np\.float32 or np\.int64"):
        FieldSpec(np.float64, (1,))  # type: ignore[arg-type]
