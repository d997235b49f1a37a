"""``tf.train.Example``: every legal way to write it reads the same; protobuf's own runtime is the oracle."""

from __future__ import annotations

import functools
import pickle
import random
import struct
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from iodine_kit.errors import CorruptDataError, SchemaError
from iodine_kit.tfrecord import (
    Feature,
    WireError,
    as_float32,
    as_int64,
    as_uint8,
    example,
    parse_example,
    serialize_example,
    wire,
)

Array = NDArray[Any]

dtypes = st.sampled_from([np.uint8, np.float32, np.int64])
arrays = dtypes.flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=3, max_side=5, min_side=0))
)
examples = st.dictionaries(st.text(max_size=6), arrays, max_size=5)


def convert(feature: Feature) -> Array:
    if feature.kind == "float":
        return as_float32(feature)
    return as_int64(feature) if feature.kind == "int64" else as_uint8(feature)


def assert_same(features: dict[str, Feature], arrays: dict[str, Array]) -> None:
    assert features.keys() == arrays.keys()
    for name, array in arrays.items():
        values = convert(features[name])
        assert values.dtype == array.dtype
        assert values.tobytes() == array.tobytes()  # bytes, because the bits of NaNs must be kept
        assert values.flags.owndata
        assert values.flags.writeable


# A second, independent encoder, which can write in unusual ways.


def varint(value: int, length: int = 1) -> bytes:
    """Return a varint of at least ``length`` bytes."""
    value %= 1 << 64
    groups = max(length, -(-max(value.bit_length(), 1) // 7))
    return bytes(value >> 7 * i & 0x7F | (0x80 if i < groups - 1 else 0) for i in range(groups))


def field(number: int, content: bytes, pad: int = 1) -> bytes:
    return varint(number << 3 | 2, pad) + varint(len(content), pad) + content


def wrap(**features: bytes) -> bytes:
    """Return an Example of given Feature messages."""
    return field(1, b"".join(field(1, field(1, name.encode()) + field(2, body)) for name, body in features.items()))


def only(body: bytes) -> Feature:
    (feature,) = parse_example(wrap(a=body)).values()
    return feature


@settings(deadline=None)
@given(examples, st.booleans())
def test_serialised_features_are_parsed(features: dict[str, Array], per_byte: bool) -> None:
    assert_same(parse_example(serialize_example(features, per_byte=per_byte)), features)


@settings(deadline=None)
@given(examples)
def test_serialisation_does_not_depend_on_the_order_of_keys(features: dict[str, Array]) -> None:
    backwards = dict(reversed(features.items()))
    assert serialize_example(features) == serialize_example(backwards)


@settings(deadline=None)
@given(examples, st.randoms(use_true_random=False))
def test_keys_are_read_in_any_order(features: dict[str, Array], shuffler: random.Random) -> None:
    entries = [serialize_example({name: array}) for name, array in features.items()]
    shuffler.shuffle(entries)  # concatenated messages are merged
    assert_same(parse_example(b"".join(entries)), features)


@settings(deadline=None)
@given(hnp.arrays(np.uint8, st.integers(0, 60)))
def test_one_entry_per_byte_and_one_blob_are_the_same_array(values: Array) -> None:
    per_byte = parse_example(serialize_example({"a": values}))["a"]
    blob = parse_example(serialize_example({"a": values}, per_byte=False))["a"]
    np.testing.assert_array_equal(as_uint8(per_byte), as_uint8(blob))


@settings(deadline=None)
@given(hnp.arrays(np.uint8, st.integers(0, 60)))
def test_the_fast_path_agrees_with_the_generic_one(values: Array) -> None:
    payload = serialize_example({"a": values})
    fast = parse_example(payload)["a"]
    with mock.patch.object(example, "one_byte_entries", return_value=None):
        generic = parse_example(payload)["a"]
    np.testing.assert_array_equal(fast.values, generic.values)
    assert fast.sizes == generic.sizes


@settings(deadline=None)
@given(st.lists(st.binary(max_size=4), max_size=12))
def test_only_entries_of_one_byte_take_the_fast_path(entries: list[bytes]) -> None:
    feature = only(field(1, b"".join(field(1, entry) for entry in entries)))
    assert feature.values.tobytes() == b"".join(entries)
    assert feature.sizes == frozenset(map(len, entries))


@settings(deadline=None)
@given(st.lists(st.floats(width=32, allow_nan=False), max_size=9), st.integers(0, 9))
def test_floats_may_be_packed_or_not_or_mixed(values: list[float], cut: int) -> None:
    packed = field(1, struct.pack(f"<{len(values[:cut])}f", *values[:cut]))
    unpacked = b"".join(b"\x0d" + struct.pack("<f", value) for value in values[cut:])
    np.testing.assert_array_equal(as_float32(only(field(2, packed + unpacked))), np.array(values, np.float32))


@settings(deadline=None)
@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=9), st.integers(0, 9), st.integers(1, 10))
def test_integers_may_be_packed_or_not_and_of_any_length(values: list[int], cut: int, pad: int) -> None:
    packed = field(1, b"".join(varint(value, pad) for value in values[:cut]), min(pad, 5))
    unpacked = b"".join(b"\x08" + varint(value, pad) for value in values[cut:])
    np.testing.assert_array_equal(as_int64(only(field(3, packed + unpacked))), np.array(values, dtype=np.int64))


def test_bits_beyond_the_64th_are_dropped() -> None:
    assert as_int64(only(field(3, b"\x08" + b"\xff" * 9 + b"\x7f"))).tolist() == [-1]


UNKNOWN = {
    "varint": varint(15 << 3) + varint(-1),
    "fixed 64": varint(15 << 3 | 1) + bytes(8),
    "length": field(15, b"anything"),
    "group": varint(15 << 3 | 3) + field(1, b"x") + b"\x0b\x08\x01\x0c" + varint(15 << 3 | 4),
    "fixed 32": varint(15 << 3 | 5) + bytes(4),
    "known number of another type": b"\x08\x07",
}


@pytest.mark.parametrize("unknown", UNKNOWN.values(), ids=UNKNOWN)
def test_unknown_fields_are_skipped_at_every_level(unknown: bytes) -> None:
    def both(content: bytes) -> bytes:
        return unknown + content + unknown

    feature = both(field(1, both(field(1, b"\x2a"))))
    entry = both(field(1, b"a") + field(2, feature))
    features = parse_example(both(field(1, both(field(1, entry)))))
    assert as_uint8(features["a"]).tolist() == [42]


def test_the_last_of_repeated_keys_counts() -> None:
    one, two = (field(1, field(1, b"a") + field(2, field(1, field(1, value)))) for value in (b"\x01", b"\x02"))
    assert as_uint8(parse_example(field(1, one + two))["a"]).tolist() == [2]
    assert as_uint8(parse_example(field(1, one) + field(1, two))["a"]).tolist() == [2]


def test_empty_messages_have_no_values() -> None:
    assert parse_example(b"") == {}
    assert parse_example(wrap()) == {}
    assert (only(b"").kind, only(field(1, b"")).kind) == ("empty", "bytes")
    assert as_uint8(only(b"")).size == as_float32(only(b"")).size == as_int64(only(b"")).size == 0
    assert parse_example(field(1, field(1, b"")))[""].kind == "empty"


def test_lists_of_one_kind_merge_and_the_last_kind_wins() -> None:
    bytes_1, bytes_2 = field(1, field(1, b"\x01")), field(1, field(1, b"\x02"))
    number = field(3, b"\x08\x05")
    assert as_uint8(only(bytes_1 + bytes_2)).tolist() == [1, 2]
    assert as_int64(only(bytes_1 + number)).tolist() == [5]
    assert as_uint8(only(bytes_1 + number + bytes_2)).tolist() == [2]


# Faults


@pytest.mark.parametrize(
    ("payload", "at", "problem"),
    [
        (b"\x0a", 1, "truncated varint"),
        (b"\x0a\x05ab", 2, "field of 5 bytes, but 2 are left"),
        (b"\x80" * 11, 0, "varint of more than 10 bytes"),
        (b"\x02\x00", 0, "field number 0 is outside"),
        (varint(1 << 32 | 2) + b"\x00", 0, "field number 536870912 is outside"),
        (b"\x0e", 0, "unknown wire type 6"),
        (b"\x0c", 0, "group that ends without a beginning"),
        (b"\x7b\x08\x01", 3, "group without an end"),
        (b"\x7b\x0c", 1, "group ended by another group's end"),
        (b"\x7d\x00\x00\x00", 1, "field of 4 bytes, but 3 are left"),
        (field(1, field(1, field(1, b"\xc3\xff"))), 6, "a feature's name is not UTF-8"),
        (wrap(a=field(2, field(1, b"\x00" * 5))), 13, "packed floats of 5 bytes, not a multiple of 4"),
        (wrap(a=field(3, field(1, b"\x01\x80"))), 14, "truncated varint"),
    ],
)
def test_malformed_bytes_are_refused_with_their_position(payload: bytes, at: int, problem: str) -> None:
    with pytest.raises(CorruptDataError) as caught:
        parse_example(payload)
    assert isinstance(caught.value, WireError)
    assert (caught.value.at, caught.value.problem[: len(problem)]) == (at, problem)
    assert str(caught.value) == f"byte {at} of the record: {caught.value.problem}"


def test_hostile_nesting_does_not_exhaust_the_stack() -> None:
    with pytest.raises(WireError, match="group without an end"):
        parse_example(b"\x7b" * 100_000)


def test_a_wire_error_survives_pickling() -> None:
    copy = pickle.loads(pickle.dumps(WireError(7, "broken")))
    assert (copy.at, copy.problem, str(copy)) == (7, "broken", "byte 7 of the record: broken")


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_parsed_or_refused(payload: bytes) -> None:
    try:
        parse_example(payload)
    except WireError as error:
        assert 0 <= error.at <= len(payload)


def test_features_of_another_kind_are_refused() -> None:
    arrays = {name: np.ones(1, dtype) for name, dtype in (("f", np.float32), ("i", np.int64), ("b", np.uint8))}
    features = parse_example(serialize_example(arrays))
    with pytest.raises(SchemaError, match="feature 'f' holds float values, not bytes values"):
        as_uint8(features["f"])
    with pytest.raises(SchemaError, match="feature 'i' holds int64 values, not float values"):
        as_float32(features["i"])
    with pytest.raises(SchemaError, match="feature 'b' holds bytes values, not int64 values"):
        as_int64(features["b"])


def test_strings_of_several_lengths_are_not_an_array() -> None:
    feature = only(field(1, field(1, b"cube") + field(1, b"sphere")))
    with pytest.raises(SchemaError, match="feature 'a' holds strings of 4 to 6 bytes"):
        as_uint8(feature)


def test_other_dtypes_cannot_be_serialised() -> None:
    with pytest.raises(ValueError, match="feature 'a' is float64; an Example holds uint8, float32 or int64"):
        serialize_example({"a": np.zeros(3)})


def test_arrays_that_are_not_contiguous_are_serialised_in_c_order() -> None:
    for dtype in (np.uint8, np.float32, np.int64):
        array = np.arange(24).astype(dtype).reshape(2, 3, 4).transpose(2, 0, 1)[::2]
        for per_byte in (True, False):
            assert_same(parse_example(serialize_example({"a": array}, per_byte=per_byte)), {"a": array.copy()})


# Oracle: protobuf's own runtime, on a schema built here


@functools.cache
def oracle(*, packed: bool = True) -> Any:
    """Return protobuf's class for ``tf.train.Example``; its writer packs numbers or not, its reader takes both."""
    descriptor_pb2 = pytest.importorskip("google.protobuf.descriptor_pb2")
    descriptor_pool = pytest.importorskip("google.protobuf.descriptor_pool")
    message_factory = pytest.importorskip("google.protobuf.message_factory")
    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="example.proto", package="oracle", syntax="proto3")

    def add(message: Any, name: str, number: int, kind: int, of: str = "", *, repeated: bool = False) -> Any:
        label = kinds.LABEL_REPEATED if repeated else kinds.LABEL_OPTIONAL
        of = of and f".oracle.{of}"
        return message.field.add(name=name, number=number, type=kind, label=label, type_name=of or None)

    for name, kind in (("Bytes", kinds.TYPE_BYTES), ("Float", kinds.TYPE_FLOAT), ("Int64", kinds.TYPE_INT64)):
        values = add(file.message_type.add(name=f"{name}List"), "value", 1, kind, repeated=True)
        if name != "Bytes":
            values.options.packed = packed
    feature = file.message_type.add(name="Feature")
    feature.oneof_decl.add(name="kind")
    for number, name in enumerate(("Bytes", "Float", "Int64"), start=1):
        add(feature, f"{name.lower()}_list", number, kinds.TYPE_MESSAGE, f"{name}List").oneof_index = 0
    features = file.message_type.add(name="Features")
    add(features, "feature", 1, kinds.TYPE_MESSAGE, "Features.FeatureEntry", repeated=True)
    entry = features.nested_type.add(name="FeatureEntry")
    entry.options.map_entry = True
    add(entry, "key", 1, kinds.TYPE_STRING)
    add(entry, "value", 2, kinds.TYPE_MESSAGE, "Feature")
    add(file.message_type.add(name="Example"), "features", 1, kinds.TYPE_MESSAGE, "Features")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("oracle.Example"))


def fill(message: Any, features: dict[str, Array], per_byte: bool) -> Any:
    for name, array in features.items():
        feature, flat = message.features.feature[name], array.ravel()
        if array.dtype == np.uint8:
            entries = [bytes([value]) for value in flat.tolist()] if per_byte else [flat.tobytes()]
            feature.bytes_list.SetInParent()
            feature.bytes_list.value.extend(entries)
        else:
            values = feature.float_list if array.dtype == np.float32 else feature.int64_list
            values.SetInParent()
            values.value.extend(flat.tolist())
    return message


@settings(deadline=None)
@given(name=st.text(max_size=6), array=arrays, per_byte=st.booleans())
def test_protobuf_writes_the_same_bytes(name: str, array: Array, per_byte: bool) -> None:
    written = serialize_example({name: array}, per_byte=per_byte)
    assert written == fill(oracle()(), {name: array}, per_byte).SerializeToString()


@settings(deadline=None)
@given(features=examples, per_byte=st.booleans())
def test_protobuf_reads_serialised_features(features: dict[str, Array], per_byte: bool) -> None:
    payload, message = serialize_example(features, per_byte=per_byte), oracle()()
    message.ParseFromString(payload)
    assert described_by_protobuf(message) == described(parse_example(payload))


@settings(deadline=None)
@given(features=examples, per_byte=st.booleans(), packed=st.booleans())
def test_features_written_by_protobuf_are_parsed(features: dict[str, Array], per_byte: bool, packed: bool) -> None:
    finite = {name: np.nan_to_num(array) if array.dtype == np.float32 else array for name, array in features.items()}
    message = fill(oracle(packed=packed)(), finite, per_byte)
    assert_same(parse_example(message.SerializeToString()), finite)


def described(features: dict[str, Feature]) -> dict[str, tuple[str, str]]:
    """Return kind and values as text, in which all NaNs are equal, because protobuf changes their bits."""
    return {name: (feature.kind, str(feature.values.tolist())) for name, feature in features.items()}


def described_by_protobuf(message: Any) -> dict[str, tuple[str, str]]:
    found = {}
    for name, feature in message.features.feature.items():
        kind = (feature.WhichOneof("kind") or "empty").removesuffix("_list")
        entries = getattr(feature, f"{kind}_list").value if kind != "empty" else []
        found[name] = kind, str(list(b"".join(entries) if kind == "bytes" else entries))
    return found


def has_unusual_entries(payload: bytes) -> bool:
    """Whether a map entry has an unknown field: protobuf's C runtime then treats the entry itself as unknown."""
    whole = [(0, len(payload))]
    entries = (
        entry for part in example._submessages(payload, whole) for entry in example._submessages(payload, [part])
    )
    usual = ((1, wire.LENGTH), (2, wire.LENGTH))
    return any(found[:2] not in usual for entry in entries for found in wire.fields(payload, *entry))


def test_a_malformed_list_is_refused_even_if_a_list_of_another_kind_counts() -> None:
    floats, ints = b"\x12\x01\x01", b"\x1a\x00"  # the tag 1 has no field number
    value = floats + ints
    entry = b"\x0a\x01a\x12" + bytes([len(value)]) + value
    feature = b"\x0a" + bytes([len(entry)]) + entry
    with pytest.raises(WireError, match="field number 0"):
        parse_example(b"\x0a" + bytes([len(feature)]) + feature)


@settings(deadline=None)
@given(examples.filter(bool), st.data())
def test_protobuf_reads_altered_bytes_alike(features: dict[str, Array], data: st.DataObject) -> None:
    altered = bytearray(serialize_example(features))
    for _ in range(data.draw(st.integers(1, 3))):
        altered[data.draw(st.integers(0, len(altered) - 1))] = data.draw(st.integers(0, 255))
    payload, message = bytes(altered), oracle()()
    try:
        message.ParseFromString(payload)
    except Exception:  # protobuf's DecodeError; its module is not imported, because it is optional
        with pytest.raises(WireError):
            parse_example(payload)
        return
    parsed = described(parse_example(payload))
    assert has_unusual_entries(payload) or parsed == described_by_protobuf(message)
