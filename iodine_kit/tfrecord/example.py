"""Parse ``tf.train.Example`` messages without TensorFlow or protobuf.

Example { Features features = 1 }, Features { map<string, Feature> feature = 1 }, and a Feature holds one of
BytesList (1), FloatList (2) and Int64List (3), each with a repeated ``value = 1``.

DeepMind's files store a uint8 array as a BytesList with one entry per byte, ``0a 01 XX`` repeated. From such a list,
every third byte of the buffer is taken; any other list is parsed entry by entry.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np

from iodine_kit.tfrecord.feature import Bytes, Feature, Floats, Ints, Kind
from iodine_kit.tfrecord.wire import FIXED32, LENGTH, VARINT, Span, WireError, fields, sole_field, varint

_KINDS: Final[dict[int, Kind]] = {1: "bytes", 2: "float", 3: "int64"}
_FLOAT: Final = np.dtype("<f4")
_KEY, _VALUE = 1, 2  # field numbers of a map's entry
_KEY_TAG: Final = _KEY << 3 | LENGTH
_ONE_BYTE: Final = frozenset({1})
_ONE_BYTE_ENTRY: Final = 0x010A  # the tag 0a of field 1 and the length 1, as a little-endian number


def parse_example(payload: bytes) -> dict[str, Feature]:
    """Return the features of a serialised ``tf.train.Example`` by name, in the order of the message.

    As in protobuf, keys may have any order, unknown fields are skipped, numbers may be packed or not, and the last of
    repeated keys counts.

    Raises:
        WireError: a CorruptDataError that names the byte in the record: the payload is malformed.
    """
    features: dict[str, Feature] = {}
    for entry in _submessages(payload, _submessages(payload, [(0, len(payload))])):
        feature = _map_entry(payload, entry)
        features[feature.name] = feature
    return features


def _submessages(payload: bytes, spans: Iterable[Span]) -> Iterator[Span]:
    """Yield the content of every length-delimited field 1 of a message whose parts are ``spans``."""
    for start, end in spans:
        for number, wire, first, behind in fields(payload, start, end):
            if number == 1 and wire == LENGTH:
                yield first, behind


def _map_entry(payload: bytes, entry: Span) -> Feature:
    start, end = entry
    # Most entries: a short key followed by the value. Trying this first only saves time.
    if start + 1 < end and payload[start] == _KEY_TAG and payload[start + 1] < 0x80:
        behind_key = start + 2 + payload[start + 1]
        number, first = sole_field(payload, behind_key, end)
        if number == _VALUE:
            return _feature(payload, _name(payload, start + 2, behind_key), [(first, end)])
    name = ""
    values: list[Span] = []
    for number, wire, first, behind in fields(payload, start, end):
        if wire == LENGTH and number == _KEY:
            name = _name(payload, first, behind)
        elif wire == LENGTH and number == _VALUE:
            values.append((first, behind))
    return _feature(payload, name, values)


def _name(payload: bytes, start: int, end: int) -> str:
    try:
        return payload[start:end].decode()
    except UnicodeDecodeError as error:
        raise WireError(start + error.start, "a feature's name is not UTF-8") from error


def _feature(payload: bytes, name: str, messages: list[Span]) -> Feature:
    """Read a Feature given in parts. As in protobuf, lists of one kind are merged; of several kinds the last counts."""
    return _values(payload, name, *_lists(payload, messages))


def _values(payload: bytes, name: str, kind: Kind, lists: list[Span]) -> Feature:
    if kind == "float":
        return Feature(name, kind, _floats(payload, lists))
    if kind == "int64":
        return Feature(name, kind, _ints(payload, lists))
    return Feature(name, kind, *_bytes(payload, lists))


def _lists(payload: bytes, messages: list[Span]) -> tuple[Kind, list[Span]]:
    if len(messages) == 1:
        number, first = sole_field(payload, *messages[0])
        if number in _KINDS:
            return _KINDS[number], [(first, messages[0][1])]
    kind: Kind = "empty"
    lists: list[Span] = []
    for message in messages:
        for number, wire, start, end in fields(payload, *message):
            if wire == LENGTH and number in _KINDS:
                if kind != _KINDS[number]:
                    _values(payload, "", kind, lists)  # they do not count, but must be well-formed, as in protobuf
                    kind, lists = _KINDS[number], []
                lists.append((start, end))
    return kind, lists


def _bytes(payload: bytes, lists: list[Span]) -> tuple[Bytes, frozenset[int]]:
    if len(lists) == 1 and (column := one_byte_entries(payload, *lists[0])) is not None:
        return column, _ONE_BYTE
    entries = list(_submessages(payload, lists))
    joined = b"".join(payload[start:end] for start, end in entries)
    return np.frombuffer(joined, dtype=np.uint8), frozenset(end - start for start, end in entries)


def one_byte_entries(payload: bytes, start: int, end: int) -> Bytes | None:
    """Return every third byte of a BytesList, without a copy, if each entry is one byte; otherwise None."""
    count, rest = divmod(end - start, 3)
    if rest or not count:
        return None
    # Tag and length are compared as one unaligned 16-bit number, five times as fast as two columns of bytes.
    prefixes = np.ndarray((count,), dtype="<u2", buffer=payload, offset=start, strides=(3,))
    if np.count_nonzero(prefixes == _ONE_BYTE_ENTRY) < count:  # takes a third of the time of all() for a short list
        return None
    return np.frombuffer(payload, dtype=np.uint8, count=3 * count, offset=start)[2::3]


def _floats(payload: bytes, lists: list[Span]) -> Floats:
    if len(lists) == 1:
        start, end = lists[0]
        number, first = sole_field(payload, start, end)
        if number == 1 and (end - first) % 4 == 0:
            return np.frombuffer(payload, _FLOAT, (end - first) // 4, first).astype(np.float32, copy=False)
    parts = []
    for start, end in lists:
        for number, wire, first, behind in fields(payload, start, end):
            if number == 1 and wire in (FIXED32, LENGTH):
                if (behind - first) % 4:
                    raise WireError(first, f"packed floats of {behind - first} bytes, not a multiple of 4")
                parts.append(payload[first:behind])
    return np.frombuffer(b"".join(parts), _FLOAT).astype(np.float32, copy=False)


def _ints(payload: bytes, lists: list[Span]) -> Ints:
    values = []
    for start, end in lists:
        for number, wire, at, behind in fields(payload, start, end):
            while number == 1 and wire in (VARINT, LENGTH) and at < behind:
                value, at = varint(payload, at, behind)
                values.append(value)
    return np.array(values, dtype=np.uint64).view(np.int64)
