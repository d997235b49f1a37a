"""Protobuf's wire format: varints and the fields of a message, as spans of a buffer. Nothing is copied."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from iodine_kit.errors import CorruptDataError

VARINT: Final = 0
FIXED64: Final = 1
LENGTH: Final = 2
GROUP_START: Final = 3
GROUP_END: Final = 4
FIXED32: Final = 5

_MAX_VARINT_BYTES: Final = 10
_MAX_TAG: Final = (1 << 32) - 1
_UINT64: Final = (1 << 64) - 1

Span = tuple[int, int]  # the bytes [start, end) of a buffer


class WireError(CorruptDataError):
    """A message contradicts the wire format at byte ``at``; ``problem`` describes it without the place."""

    def __init__(self, at: int, problem: str) -> None:
        super().__init__(at, problem)  # both, so that the error can be sent from a worker process
        self.at = at
        self.problem = problem

    def __str__(self) -> str:
        return f"byte {self.at} of the record: {self.problem}"


def varint(buffer: bytes, at: int, end: int) -> tuple[int, int]:
    """Return the unsigned 64-bit varint at byte ``at``, minimal or not, and the position after it."""
    if at < end and buffer[at] < 0x80:  # most are one byte long
        return buffer[at], at + 1
    value = shift = 0
    for position in range(at, min(end, at + _MAX_VARINT_BYTES)):
        byte = buffer[position]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & _UINT64, position + 1
        shift += 7
    raise WireError(at, "truncated varint" if end < at + _MAX_VARINT_BYTES else "varint of more than 10 bytes")


def fields(buffer: bytes, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield the fields of the message in ``buffer[start:end]``, in their order.

    Yields:
        The field's number, its wire type, and the span of its content (without a length prefix) in the buffer.

    Raises:
        WireError: a field is truncated, extends beyond the message, or has an invalid tag.
    """
    at = start
    while at < end:
        tag = buffer[at]
        if tag > 7 and tag & 0x87 == LENGTH:  # most: one byte that announces a length
            number, wire = tag >> 3, LENGTH
            length, first = varint(buffer, at + 1, end)
            behind = _inside(first, length, end)
        else:
            number, wire, content = _tag(buffer, at, end)
            first, behind = _content(buffer, content, end, number, wire)
        yield number, wire, first, behind
        at = behind


def sole_field(buffer: bytes, start: int, end: int) -> tuple[int, int]:
    """Return the number of the one field that fills ``buffer[start:end]``, and where its content begins.

    Both are 0 if it is not one length-delimited field; then use :func:`fields`, which takes three times as long.
    """
    if start < end and (tag := buffer[start]) & 0x87 == LENGTH:
        length, first = varint(buffer, start + 1, end)
        if first + length == end:
            return tag >> 3, first
    return 0, 0


def _tag(buffer: bytes, at: int, end: int) -> tuple[int, int, int]:
    tag, content = varint(buffer, at, end)
    if tag < 8 or tag > _MAX_TAG:
        raise WireError(at, f"field number {tag >> 3} is outside 1…536870911")
    return tag >> 3, tag & 7, content


def _content(buffer: bytes, at: int, end: int, number: int, wire: int) -> tuple[int, int]:
    """Return the span of the content of a field whose tag ends before byte ``at``."""
    if wire == LENGTH:
        length, at = varint(buffer, at, end)
        return at, _inside(at, length, end)
    if wire == VARINT:
        return at, varint(buffer, at, end)[1]
    if wire in (FIXED32, FIXED64):
        return at, _inside(at, 4 if wire == FIXED32 else 8, end)
    if wire == GROUP_START:
        return at, _after_group(buffer, at, end, number)
    unexpected = "group that ends without a beginning" if wire == GROUP_END else f"unknown wire type {wire}"
    raise WireError(at - 1, unexpected)


def _inside(at: int, length: int, end: int) -> int:
    if length > end - at:
        raise WireError(at, f"field of {length} bytes, but {end - at} are left")
    return at + length


def _after_group(buffer: bytes, at: int, end: int, number: int) -> int:
    """Return the position after a group, protobuf's old form of nesting, which occurs only in unknown fields."""
    opened = [number]  # a list, not recursion, so that hostile nesting cannot exhaust the stack
    while opened:
        if at >= end:
            raise WireError(end, "group without an end")
        number, wire, content = _tag(buffer, at, end)
        if wire == GROUP_START:
            opened.append(number)
            at = content
        elif wire == GROUP_END:
            if opened.pop() != number:
                raise WireError(at, "group ended by another group's end")
            at = content
        else:
            at = _content(buffer, content, end, number, wire)[1]
    return at
