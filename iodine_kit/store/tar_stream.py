"""Tar archives as streams: members in the order in which they come, nothing but files, nothing loaded into memory.

The module ``tarfile`` of Python reads more kinds of members than an archive of artifacts has, and loads headers of any
length. This reader accepts a header of 512 bytes, and GNU's long names up to a limit; everything else is an error.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterable, Iterator
from typing import BinaryIO, NamedTuple

from iodine_kit.errors import CorruptDataError
from iodine_kit.untrusted.folders import printable

BLOCK = tarfile.BLOCKSIZE
CHUNK = 1 << 20
LONGEST_NAME = 4096
"""Bytes of the name of a member."""
EXPECTED = "give an archive that the command 'pack' wrote"
"""What to do about any other archive."""
_INCOMPLETE = "incomplete: it ends in the middle; copy it again"
_END = bytes(BLOCK)
_KINDS = {
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.LNKTYPE: "a hard link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a pipe",
    tarfile.DIRTYPE: "a folder",
}


class Member(NamedTuple):
    """A file in an archive: its name, its size in bytes, and its bytes, which can be read once, before the next one."""

    name: str
    size: int
    chunks: Iterator[bytes]


def write_member(stream: BinaryIO, name: str, size: int, chunks: Iterable[bytes]) -> None:
    """Append a file to an archive. The same name and bytes give the same archive: no time, no user, no permissions.

    Args:
        size: number of the bytes that follow.
        chunks: the bytes.
    """
    header = tarfile.TarInfo(name)
    header.size = size
    stream.write(header.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape"))
    for chunk in chunks:
        stream.write(chunk)
    stream.write(bytes(-size % BLOCK))


def write_end(stream: BinaryIO) -> None:
    """Write what ends an archive."""
    stream.write(_END * 2)


def read_members(stream: BinaryIO, place: object) -> Iterator[Member]:
    """The members of an archive, in order.

    Args:
        stream: open for reading; it need not be seekable.
        place: the file; begins the message of an error.

    Raises:
        CorruptDataError: if the archive is incomplete, is no archive of this kind, or contains anything but files.
    """
    long_name, too_short = "", f"no tar archive; {EXPECTED}"
    while (block := _exactly(stream, BLOCK, place, too_short)) != _END:
        too_short = _INCOMPLETE
        header = _header(block, place)
        if header.type == tarfile.GNUTYPE_LONGNAME and not long_name:
            long_name = _long_name(stream, header, place)
            continue
        name, long_name = long_name or header.name, ""
        if header.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
            kind = _KINDS.get(header.type, "of another kind than a file")
            raise CorruptDataError(f"{place}: {printable(name)!r} is {kind}; {EXPECTED}")
        chunks = _content(stream, header.size, place)
        yield Member(name, header.size, chunks)
        for _ in chunks:  # what nobody read
            pass
    while rest := stream.read(CHUNK):
        if rest.strip(b"\0"):
            raise CorruptDataError(f"{place}: there are data after its end: it was altered; {EXPECTED}")


def _header(block: bytes, place: object) -> tarfile.TarInfo:
    try:
        header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError):
        raise CorruptDataError(f"{place}: no tar archive, or a damaged one; {EXPECTED}") from None
    if header.size < 0:
        raise CorruptDataError(f"{place}: a member has a negative size: the archive was altered; {EXPECTED}")
    return header


def _long_name(stream: BinaryIO, header: tarfile.TarInfo, place: object) -> str:
    if not 0 < header.size <= LONGEST_NAME:
        raise CorruptDataError(f"{place}: a name of {header.size} bytes is too long; {EXPECTED}")
    name = b"".join(_content(stream, header.size, place))
    return name.rstrip(b"\0").decode("utf-8", "surrogateescape")


def _content(stream: BinaryIO, size: int, place: object) -> Iterator[bytes]:
    """The bytes of a member; also reads what fills up its last block."""
    left = size
    while left:
        yield (chunk := _exactly(stream, min(left, CHUNK), place))
        left -= len(chunk)
    if any(_exactly(stream, -size % BLOCK, place)):
        raise CorruptDataError(f"{place}: there are data between its members: it was altered; {EXPECTED}")


def _exactly(stream: BinaryIO, count: int, place: object, too_short: str = _INCOMPLETE) -> bytes:
    data = stream.read(count)
    while len(data) < count:
        more = stream.read(count - len(data))
        if not more:
            raise CorruptDataError(f"{place}: {too_short}")
        data += more
    return data
