"""Reading TensorFlow checkpoints: one written by TensorFlow, others of every supported kind, and damaged ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from golden.recipe import RELEASE, numbers, variables
from hypothesis import given
from hypothesis import strategies as st
from unit.tensorbundle import writer

from iodine_kit.errors import CorruptDataError, IodineKitError, SchemaError, SourceError
from iodine_kit.tensorbundle import Bundle, Folder, locate
from iodine_kit.tensorbundle.table import read_table

BY_TENSORFLOW = RELEASE / "tetrominoes.ckpt-1000000.index"
SHARD = "tetrominoes.ckpt-1000000.data-00000-of-00001"
VALUES = {
    "a/w": np.arange(6, dtype=np.float32).reshape(2, 3),
    "a/w/Adam": np.ones((2, 3), np.float32),
    "b": np.float32(1.5),
    "empty": np.zeros((0, 4), np.float64),
    "global_step": np.int64(77),
    "half": np.arange(3).astype(np.float16),
    "int": np.array([-1], np.int32),
}


def opened(index: Path) -> Bundle:
    return Bundle(*locate(index))


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the checkpoint that TensorFlow wrote, to be damaged."""
    for name in (BY_TENSORFLOW.name, SHARD):
        (tmp_path / name).write_bytes((RELEASE / name).read_bytes())
    return tmp_path / BY_TENSORFLOW.name


def altered(path: Path, place: int, cut: bool = False) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 0x10
    path.write_bytes(data[:place] if cut else data)


def test_a_checkpoint_written_by_tensorflow_is_read_bit_for_bit() -> None:
    bundle = opened(BY_TENSORFLOW)
    made = variables(numbers("tetrominoes"))
    assert set(bundle.variables) == {*made, "global_step"} and bundle.read("global_step") == 1_000_000
    for name, value in made.items():
        read = bundle.read(name)
        assert read.dtype == np.float32 and read.shape == value.shape and read.tobytes() == value.tobytes()


def test_the_writer_of_these_tests_writes_what_tensorflow_wrote(tmp_path: Path) -> None:
    """So the other files that it writes are valid tests."""
    values = {**variables(numbers("tetrominoes")), "global_step": np.int64(1_000_000)}
    index = writer.write(tmp_path / "tetrominoes.ckpt-1000000", values)
    assert index.read_bytes() == BY_TENSORFLOW.read_bytes()
    assert (tmp_path / SHARD).read_bytes() == (RELEASE / SHARD).read_bytes()


@pytest.mark.parametrize("shards", [1, 2, 5])
def test_types_shapes_and_shards(tmp_path: Path, shards: int) -> None:
    bundle = opened(writer.write(tmp_path / "model.ckpt", VALUES, shards))
    assert list(bundle.variables) == sorted(VALUES)
    for name, value in VALUES.items():
        read = bundle.read(name)
        assert read.dtype == value.dtype and read.shape == value.shape and np.array_equal(read, value)


@given(st.dictionaries(st.text("abc/_0", min_size=1, max_size=12), st.integers(0, 3), min_size=1, max_size=70))
def test_variables_with_any_names_are_read(sizes: dict[str, int]) -> None:
    entries = [(name.encode(), writer.varint(size)) for name, size in sorted(sizes.items())]
    assert list(read_table(writer.table(entries), "index").items()) == entries


@pytest.mark.parametrize("named", [".index", "", ".data-00001-of-00002", ".meta"])
def test_any_file_of_a_checkpoint_or_its_prefix_locates_it(tmp_path: Path, named: str) -> None:
    writer.write(tmp_path / "model.ckpt-5", VALUES, 2)
    assert locate(tmp_path / f"model.ckpt-5{named}")[1] == "model.ckpt-5"


def test_a_folder_locates_its_only_checkpoint_or_the_one_of_the_state_file(tmp_path: Path) -> None:
    writer.write(tmp_path / "model.ckpt-5", VALUES)
    assert locate(tmp_path)[1] == "model.ckpt-5"
    writer.write(tmp_path / "model.ckpt-9", VALUES)
    with pytest.raises(SourceError, match=r"has 2 checkpoints \(model.ckpt-5, model.ckpt-9\); give the .index file of"):
        locate(tmp_path)
    state = tmp_path / "checkpoint"
    state.write_text('model_checkpoint_path: "/elsewhere/model.ckpt-9"\nall_model_checkpoint_paths: "model.ckpt-5"\n')
    assert locate(tmp_path)[1] == locate(state)[1] == "model.ckpt-9"
    for hostile in ('"../../etc/passwd"', '"model.ckpt-7"', "__import__('os')", '"' + "x" * 100_000):
        state.write_text(f"model_checkpoint_path: {hostile}\n")
        with pytest.raises(SourceError, match="has 2 checkpoints"):
            locate(tmp_path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        SourceError, match=r"nowhere.index: no such file; give a checkpoint's .index file or its folder"
    ):
        locate(tmp_path / "nowhere")
    with pytest.raises(SourceError, match=r"has no checkpoint of format V2 \(no .index file\)"):
        locate(tmp_path)
    (tmp_path / "weights.pt").write_bytes(b"PK")
    with pytest.raises(SourceError, match=r"weights.pt: not a file of a TensorFlow checkpoint"):
        locate(tmp_path / "weights.pt")
    with pytest.raises(SourceError, match="no such folder"):
        Bundle(Folder(tmp_path / "none"), "model.ckpt")
    with pytest.raises(SourceError, match=r"other.index: no such file"):
        Bundle(Folder(tmp_path), "other")


def test_every_byte_of_the_index_is_checked() -> None:
    """Except the empty meta block, and in the footer the pointer to it and the padding."""
    data = BY_TENSORFLOW.read_bytes()
    whole = read_table(data, "index")
    for place in range(len(data)):
        bad = bytearray(data)
        bad[place] ^= 1
        try:
            assert read_table(bytes(bad), "index") == whole
        except CorruptDataError:
            continue
        assert 1274 <= place < 1287 or place >= len(data) - 48, place


@pytest.mark.parametrize("length", [0, 7, 47, 48, 200, 1354])
def test_a_truncated_index_is_refused(copy: Path, length: int) -> None:
    copy.write_bytes(copy.read_bytes()[:length])
    with pytest.raises(
        CorruptDataError, match=r"not the index of a TensorFlow checkpoint, or truncated: .*; download it again"
    ):
        opened(copy)


@given(st.binary(max_size=200), st.integers(0, 1354))
def test_any_damage_ends_in_an_error_for_users(piece: bytes, place: int) -> None:
    data = BY_TENSORFLOW.read_bytes()
    for bad in (
        data[:place] + piece + data[place:],
        piece + data[-48:],
        data[:place] + piece + data[place + len(piece) :],
    ):
        try:
            read_table(bad, "index")
        except CorruptDataError as error:
            assert str(error).startswith("index: ") and "\n" not in str(error)


def test_an_altered_or_truncated_shard_is_refused(copy: Path) -> None:
    shard = copy.with_name(SHARD)
    bundle = opened(copy)
    altered(shard, 5)
    with pytest.raises(CorruptDataError, match=r"checksum mismatch for 'encoder_net/cnn/conv_net_2d/conv_2d_0/b'"):
        bundle.read("encoder_net/cnn/conv_net_2d/conv_2d_0/b")
    assert bundle.read("global_step") == 1_000_000
    altered(shard, 790_000, cut=True)
    with pytest.raises(
        CorruptDataError, match=r"truncated: it has 790000 bytes, but 'refinement_head/.*/w' ends at byte 798280"
    ):
        bundle.read("refinement_head/residual_head/linear/w")
    shard.unlink()
    with pytest.raises(
        SourceError, match=r"data-00000-of-00001: this shard of the checkpoint is missing; download it too"
    ):
        opened(copy).read("global_step")


def test_unsupported_variables_are_refused(tmp_path: Path) -> None:
    sliced = opened(writer.write(tmp_path / "sliced", VALUES, sliced="a/w"))
    with pytest.raises(SchemaError, match=r"'a/w' is stored in slices, which is not supported"):
        sliced.read("a/w")
    with pytest.raises(SchemaError, match=r"has no variable 'a/v'; did you mean 'a/w'\?"):
        sliced.read("a/v")
    string = np.float32(0)
    other = [(b"", writer.header()), (b"s", writer.entry(string, 0, 0, b"1234").replace(b"\x08\x01", b"\x08\x07", 1))]
    with pytest.raises(SchemaError, match=r"'s' is stored of TensorFlow's type 7, which is not supported"):
        _of(tmp_path, writer.table(other)).read("s")


@pytest.mark.parametrize(
    ("entries", "compression", "reason"),
    [
        ([(b"", writer.header())], 1, r"is compressed \(Snappy\), which is not supported"),
        ([(b"", writer.header())], 9, r"is compressed \(kind 9\), which is not supported"),
        ([(b"", writer.header(endianness=1))], 0, "a checkpoint big-endian, which is not supported"),
        ([(b"", writer.header(oldest=2))], 0, "a checkpoint of a newer format, which is not supported"),
        ([(b"", writer.header(shards=0))], 0, "a checkpoint in 0 shards"),
        ([(b"a", b"")], 0, "a table, but not the index of a checkpoint of format V2"),
        ([(b"", writer.message(1, b"tensor"))], 0, "save a checkpoint of format V1 again"),
        ([(b"", writer.header()), (b"a", b"\xff")], 0, r"the entry of 'a' is damaged \(truncated varint\)"),
        ([(b"", writer.header()), (b"a", writer.number(3, 1))], 0, "'a' is in shard 1, but the last is 0"),
        ([(b"", writer.header()), (b"\xff", b"")], 0, "the name b'.xff' is not text"),
        ([(b"", writer.header()), (b"b", b""), (b"a", b"")], 0, "keys do not ascend in the index"),
        ([(b"", writer.header()), (b"a" * 2000, b"")], 0, "entry that does not fit its block"),
    ],
)
def test_other_tables_are_refused(
    tmp_path: Path, entries: list[tuple[bytes, bytes]], compression: int, reason: str
) -> None:
    with pytest.raises(CorruptDataError, match=reason):
        _of(tmp_path, writer.table(entries, compression))


def test_a_shape_that_contradicts_the_number_of_bytes_is_refused(tmp_path: Path) -> None:
    entries = [(b"", writer.header()), (b"a", writer.entry(np.zeros((3, 2), np.float32), 0, 0, b"1234"))]
    with pytest.raises(CorruptDataError, match=r"'a' has shape \[3, 2\] but 4 bytes; download the file again"):
        _of(tmp_path, writer.table(entries)).read("a")


@pytest.mark.parametrize(("offset", "rows"), [(0, 1 << 40), (1 << 62, 1)])
def test_a_size_beyond_the_file_is_refused_before_allocation(tmp_path: Path, offset: int, rows: int) -> None:
    shape = writer.message(2, writer.number(1, rows))
    place = writer.number(4, offset) + writer.number(5, 8 * rows)
    entries = [(b"", writer.header()), (b"a", writer.number(1, 9) + writer.message(2, shape) + place)]
    (tmp_path / "model.data-00000-of-00001").write_bytes(b"12345678")
    with pytest.raises(CorruptDataError, match=r"truncated: it has 8 bytes, but 'a' ends at byte \d+"):
        _of(tmp_path, writer.table(entries)).read("a")


def test_a_huge_index_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "model.index").open("wb") as file:
        file.truncate(17 << 20)
    with pytest.raises(IodineKitError, match="too large for the index of a checkpoint"):
        opened(tmp_path / "model.index")


def _of(folder: Path, index: bytes) -> Bundle:
    (folder / "model.index").write_bytes(index)
    return opened(folder / "model.index")
