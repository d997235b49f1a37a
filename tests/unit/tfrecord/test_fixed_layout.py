from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from iodine_kit.errors import CorruptDataError, SchemaError
from iodine_kit.tfrecord import (
    FieldSpec,
    RawExample,
    check_features,
    decode,
    parse_example,
    read_expected,
    serialize_example,
)
from iodine_kit.tfrecord.serialize import field, map_entry

FIELDS = {
    "image": FieldSpec(np.uint8, (5, 7, 3)),
    "mask": FieldSpec(np.uint8, (4, 5, 7, 1)),
    "x": FieldSpec(np.float32, (4,)),
    "color": FieldSpec(np.float32, (4, 3)),
    "size": FieldSpec(np.uint8, (4,)),
}


def arrays(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    drawn = {name: rng.integers(0, 256, spec.shape) for name, spec in FIELDS.items()}
    return {name: values.astype(FIELDS[name].dtype) for name, values in drawn.items()}


def parsed(payload: bytes) -> dict[str, np.ndarray] | None:
    """The result of the generic parser for a record; None if it refuses the record."""
    from pathlib import Path

    try:
        raw = RawExample(Path("f"), 0, 0, parse_example(payload))
        check_features(raw, FIELDS)
        return decode(raw, FIELDS)
    except (CorruptDataError, SchemaError):
        return None


def same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> bool:
    return a.keys() == b.keys() and all(
        a[name].dtype == b[name].dtype and np.array_equal(a[name], b[name], equal_nan=a[name].dtype == np.float32)
        for name in a
    )


@given(st.integers(0, 2**32), st.permutations(list(FIELDS)))
def test_features_in_any_order_are_read_as_they_were_written(seed: int, order: list[str]) -> None:
    given_arrays = arrays(seed)
    payload = field(1, b"".join(field(1, map_entry(name, given_arrays[name], per_byte=True)) for name in order))
    read = read_expected(payload, FIELDS)
    assert read is not None and same(read, given_arrays)


@given(st.integers(0, 2**32), st.floats(0, 1, exclude_max=True), st.integers(1, 255))
def test_an_altered_record_is_read_as_by_the_parser_or_not_at_all(seed: int, place: float, flip: int) -> None:
    payload = bytearray(serialize_example(arrays(seed)))
    payload[int(place * len(payload))] ^= flip
    read = read_expected(bytes(payload), FIELDS)
    if read is not None:
        expected = parsed(bytes(payload))
        assert expected is not None and same(read, expected)


def test_records_with_another_layout_are_left_to_the_parser() -> None:
    whole = arrays(0)
    assert read_expected(serialize_example(whole, per_byte=False), FIELDS) is None
    assert read_expected(serialize_example(whole) + b"\x10\x00", FIELDS) is None
    assert read_expected(serialize_example({**whole, "x": np.zeros(5, np.float32)}), FIELDS) is None
    assert read_expected(b"", FIELDS) is None and read_expected(serialize_example(whole), {}) is None
    assert read_expected(serialize_example(whole), {**FIELDS, "n": FieldSpec(np.int64, (1,))}) is None
