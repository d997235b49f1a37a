"""Framing: known checksums, round trips, and every damage is detected."""

from __future__ import annotations

import io
import struct
import tempfile
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iodine_kit.errors import CorruptDataError, CountError, SourceError, StorageError
from iodine_kit.tfrecord import Compression, framing, masked_crc32c, read_records, write_records, writer

COMPRESSIONS: tuple[Compression, ...] = ("gzip", "zlib", "none")
PAYLOADS = (b"first record, first record", bytes(range(20)))
FRAMED = tuple(len(payload) + 16 for payload in PAYLOADS)


@pytest.mark.parametrize(
    ("data", "crc"),
    [  # RFC 3720, appendix B.4
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
    ],
)
def test_masked_crc32c_unmasks_to_the_published_vectors(data: bytes, crc: int) -> None:
    rotated = (masked_crc32c(data) - 0xA282EAD8) % (1 << 32)
    assert (rotated >> 17 | rotated << 15) % (1 << 32) == crc


@settings(deadline=None)
@given(st.lists(st.binary(max_size=300), min_size=1, max_size=5), st.sampled_from(COMPRESSIONS))
def test_written_records_are_read(payloads: list[bytes], compression: Compression) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "file.tfrecords")
        assert write_records(path, iter(payloads), compression) == len(payloads)
        starts = accumulate((len(payload) + 16 for payload in payloads), initial=0)
        assert list(read_records(path)) == list(zip(range(len(payloads)), starts, payloads, strict=False))


def test_the_plain_bytes_are_those_of_the_published_layout(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_records(path, [b"abc"], "none")
    length = struct.pack("<Q", 3)
    expected = length + struct.pack("<I", masked_crc32c(length)) + b"abc" + struct.pack("<I", masked_crc32c(b"abc"))
    assert path.read_bytes() == expected


@pytest.mark.parametrize("compression", ["gzip", "zlib"])
def test_a_compressed_file_may_hold_no_records(tmp_path: Path, compression: Compression) -> None:
    path = tmp_path / "file"
    assert write_records(path, [], compression) == 0
    assert list(read_records(path)) == []


def test_a_missing_file_is_a_source_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=str(tmp_path / "missing")):
        next(read_records(tmp_path / "missing"))


# Damage. An outcome is the records that were read before the error, and the error's message or None.


def outcome(path: Path, content: bytes) -> tuple[list[bytes], str | None]:
    path.write_bytes(content)
    payloads: list[bytes] = []
    try:
        for _, _, payload in read_records(path):
            payloads.append(payload)
    except CorruptDataError as error:
        return payloads, str(error)
    return payloads, None


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_truncation_at_every_byte_is_detected(tmp_path: Path, compression: Compression) -> None:
    path = tmp_path / "file"
    write_records(path, PAYLOADS, compression)
    whole = path.read_bytes()
    # In a plain file, a missing last record cannot be detected: the format does not store the number of records.
    unnoticed = {FRAMED[0]} if compression == "none" else set()
    for length in range(len(whole)):
        payloads, message = outcome(path, whole[:length])
        assert payloads == list(PAYLOADS[: len(payloads)])
        assert (message is None) == (length in unnoticed), length
        assert message is None or message.startswith(f"{path}: ")


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_no_flipped_byte_gives_wrong_data(tmp_path: Path, compression: Compression) -> None:
    path = tmp_path / "file"
    write_records(path, PAYLOADS, compression)
    whole = path.read_bytes()
    # Bits without meaning: GZIP's text flag, time, level and system; ZLIB's level; padding of the last deflate byte.
    idle = {"gzip": {*range(3, 10), len(whole) - 9}, "zlib": {1, len(whole) - 5}, "none": set[int]()}[compression]
    for at in range(len(whole)):
        for flip in (1, 2, 4, 8, 16, 32, 64, 128, 255):
            altered = bytearray(whole)
            altered[at] ^= flip
            payloads, message = outcome(path, bytes(altered))
            assert payloads == list(PAYLOADS[: len(payloads)])
            if message is None:
                assert at in idle
                assert len(payloads) == len(PAYLOADS)
            else:
                assert message.startswith(f"{path}: ")


SECOND = FRAMED[0]


@pytest.mark.parametrize(
    ("at", "replacement", "problem"),
    [
        (slice(SECOND + 5, None), b"", "truncated length: 5 of 12 bytes;"),
        (slice(SECOND + 15, None), b"", "truncated payload: 3 of 20 bytes;"),
        (slice(SECOND + 34, None), b"", "truncated data checksum: 2 of 4 bytes;"),
        (slice(SECOND, SECOND + 1), b"\x15", "bad length CRC: "),
        (slice(SECOND + 12, SECOND + 13), b"\x01", "bad data CRC: "),
    ],
)
def test_an_error_names_file_record_byte_and_fault(tmp_path: Path, at: slice, replacement: bytes, problem: str) -> None:
    path = tmp_path / "file"
    write_records(path, PAYLOADS, "none")
    content = bytearray(path.read_bytes())
    content[at] = replacement
    payloads, message = outcome(path, bytes(content))
    assert payloads == [PAYLOADS[0]]
    assert message is not None
    assert message.startswith(f"{path}: record 1, byte {SECOND} uncompressed: {problem}")


def test_the_error_for_a_broken_stream_names_record_and_byte(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_records(path, PAYLOADS, "gzip")
    content = path.read_bytes()
    _, message = outcome(path, content[:-1])
    end = f"record 2, byte {sum(FRAMED)} uncompressed: the GZIP stream is truncated after {len(content) - 1} "
    assert message is not None
    assert end in message
    _, message = outcome(path, content[:-1] + b"\x01")
    assert message is not None
    assert "the GZIP stream is altered" in message


def test_an_absurd_length_is_refused_before_it_is_read(tmp_path: Path) -> None:
    length = struct.pack("<Q", (1 << 30) + 1)
    _, message = outcome(tmp_path / "file", length + struct.pack("<I", masked_crc32c(length)))
    assert message is not None
    assert "record 0, byte 0 uncompressed: its length of 1073741825 bytes is above the limit" in message


def test_a_failing_disk_is_a_storage_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class FailingDisk(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, _: object) -> int:
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(framing, "open_inflated", lambda _: io.BufferedReader(FailingDisk()))
    with pytest.raises(StorageError, match=r"file: cannot be read \(Input/output error\)"):
        next(read_records(tmp_path / "file"))


# Writing


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_equal_records_give_equal_bytes_without_time_or_name(tmp_path: Path, compression: Compression) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    write_records(one, PAYLOADS, compression)
    write_records(other, iter(PAYLOADS), compression)
    assert one.read_bytes() == other.read_bytes()
    if compression == "gzip":
        assert one.read_bytes()[3:8] == bytes(5)  # no flags, so no name; no time


class BrokenSourceError(Exception):
    pass


def broken_source() -> Iterator[bytes]:
    yield PAYLOADS[0]
    raise BrokenSourceError


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_failure_keeps_the_old_file_and_leaves_no_other(tmp_path: Path, compression: Compression) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(BrokenSourceError):
        write_records(path, broken_source(), compression)
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("file", b"old")]


def test_what_a_killed_writer_left_is_deleted_and_what_a_running_one_writes_is_not(tmp_path: Path) -> None:
    fcntl = pytest.importorskip("fcntl")
    path = tmp_path / "a[1].tfrecords"
    left, running, other = (
        tmp_path / f".{name}.tmp" for name in (f"{path.name}.01", f"{path.name}.02", "b.tfrecords.03")
    )
    for temporary in (left, running, other):
        temporary.write_bytes(b"half")
    with running.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        write_records(path, PAYLOADS)
    assert set(tmp_path.iterdir()) == {path, running, other}


def test_a_write_that_the_system_refuses_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"file: cannot be written \(No such file or directory\)"):
        write_records(tmp_path / "missing" / "file", PAYLOADS)
    (tmp_path / "folder").mkdir()
    with pytest.raises(StorageError, match=r"folder: cannot be written"):
        write_records(tmp_path / "folder", PAYLOADS)
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder"]


def test_no_records_without_compression_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CountError, match="file: there are no records to write"):
        write_records(tmp_path / "file", [], "none")
    assert list(tmp_path.iterdir()) == []


def test_a_payload_that_could_not_be_read_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "MAX_PAYLOAD_BYTES", 3)
    with pytest.raises(ValueError, match="4 bytes is above the limit of 3"):
        write_records(tmp_path / "file", [b"1234"])
    assert list(tmp_path.iterdir()) == []


def test_a_file_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    write_records(tmp_path / "file", PAYLOADS)
    (tmp_path / "other").touch()
    assert (tmp_path / "file").stat().st_mode == (tmp_path / "other").stat().st_mode
