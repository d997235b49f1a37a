"""Detecting compression and decompressing: every container, and every kind of damage."""

from __future__ import annotations

import gzip
import pickle
import tempfile
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iodine_kit.errors import CorruptDataError, SourceError, StorageError
from iodine_kit.tfrecord import Compression, InflateError, open_inflated, sniff, write_records

COMPRESSIONS: tuple[Compression, ...] = ("gzip", "zlib", "none")


def inflate(path: Path) -> bytes:
    with open_inflated(path) as stream:
        return stream.read()


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_sniff_returns_the_compression_that_was_written(tmp_path: Path, compression: Compression) -> None:
    path = tmp_path / "file"
    write_records(path, [b"payload"], compression)
    assert sniff(path) == compression


@pytest.mark.parametrize("magic", [b"\x1f\x8b", b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda"])
def test_a_plain_length_that_looks_like_magic_bytes_is_plain(tmp_path: Path, magic: bytes) -> None:
    path = tmp_path / "file"
    write_records(path, [bytes(int.from_bytes(magic, "little"))], "none")
    assert path.read_bytes().startswith(magic)
    assert sniff(path) == "none"


@pytest.mark.parametrize("level", range(10))
def test_every_zlib_level_is_recognised(tmp_path: Path, level: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(zlib.compress(b"content", level))
    assert sniff(path) == "zlib"
    assert inflate(path) == b"content"


@pytest.mark.parametrize("content", [b"hello, this is text\n", b"\x78\x00zlib?", b"\x1f", b"\x78", bytes(12)])
def test_a_file_of_another_kind_is_refused_with_its_first_bytes(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    with pytest.raises(CorruptDataError) as caught:
        sniff(path)
    start = content[:12].hex(" ")
    assert str(caught.value) == (
        f"{path}: not a TFRecord file (neither GZIP, ZLIB nor plain; starts with bytes {start})"
    )


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "empty"
    path.touch()
    with pytest.raises(CorruptDataError, match=r"empty: not a TFRecord file .*is empty"):
        open_inflated(path)


def test_missing_files_and_folders_are_source_errors(tmp_path: Path) -> None:
    for path in (tmp_path / "missing", tmp_path):
        with pytest.raises(SourceError, match=str(path)):
            sniff(path)
    (tmp_path / "file").touch()
    with pytest.raises(SourceError):
        sniff(tmp_path / "file" / "below")


def test_a_refusal_of_the_operating_system_is_a_storage_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(StorageError, match="Permission denied"):
        open_inflated(tmp_path / "file")


def test_no_file_stays_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[IO[bytes]] = []
    real_open = Path.open

    def recording_open(path: Path, mode: str) -> IO[bytes]:
        opened.append(real_open(path, mode))
        return opened[-1]

    for compression in COMPRESSIONS:
        write_records(tmp_path / compression, [b"payload"], compression)
    (tmp_path / "text").write_bytes(b"no TFRecord file")
    monkeypatch.setattr(Path, "open", recording_open)
    for compression in COMPRESSIONS:
        with open_inflated(tmp_path / compression):
            assert not opened[-1].closed
    with pytest.raises(CorruptDataError):
        open_inflated(tmp_path / "text")
    assert [file.closed for file in opened] == [True] * 4


@settings(deadline=None)
@given(st.lists(st.binary(max_size=200), min_size=1, max_size=4), st.integers(0, 40), st.booleans())
def test_members_are_joined_and_zero_padding_is_skipped(parts: list[bytes], padding: int, is_gzip: bool) -> None:
    pack = gzip.compress if is_gzip else zlib.compress
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "members")
        path.write_bytes(b"".join(pack(part) + bytes(padding) for part in parts))
        assert inflate(path) == b"".join(parts)


def test_a_member_may_end_anywhere_around_the_end_of_a_chunk(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for size in range((1 << 16) - 40, 1 << 16):  # the file is read in chunks of 2¹⁶ bytes
        stored = gzip.compress(bytes(size), compresslevel=0)  # as long as its content and about 20 bytes
        path.write_bytes(stored + gzip.compress(b"second"))
        assert inflate(path) == bytes(size) + b"second"


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress])
def test_bytes_after_the_stream_are_refused(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "file"
    path.write_bytes(pack(b"content") + b"garbage")
    with pytest.raises(InflateError, match=r"file: the (GZIP|ZLIB) stream is altered"):
        inflate(path)


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress])
def test_a_stream_truncated_anywhere_is_refused(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "file"
    packed = pack(b"some content, some content")
    for length in range(2, len(packed)):
        path.write_bytes(packed[:length])
        with pytest.raises(InflateError, match=f"is truncated after {length} compressed bytes"):
            inflate(path)


def test_zlib_with_a_preset_dictionary_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    packer = zlib.compressobj(zdict=b"content")
    path.write_bytes(packer.compress(b"content") + packer.flush())
    with pytest.raises(CorruptDataError, match=str(path)):
        inflate(path)


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "zeros"
    path.write_bytes(gzip.compress(bytes(1 << 25), compresslevel=1) * 2)  # 64 MiB in two members
    tracemalloc.start()
    try:
        with open_inflated(path) as stream:
            total = sum(len(chunk) for chunk in iter(lambda: stream.read(1 << 16), b""))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert total == 1 << 26
    assert peak < 1 << 21


def test_an_inflate_error_survives_pickling() -> None:
    error = InflateError(Path("a/b"), "broken")
    copy = pickle.loads(pickle.dumps(error))
    assert str(copy) == str(error) == "a/b: broken"
