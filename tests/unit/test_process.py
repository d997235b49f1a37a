"""Streams that lose their reader or cannot show a character."""

from __future__ import annotations

import errno
import io
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import iodine_kit as ik
from iodine_kit import process
from iodine_kit.errors import StorageError
from iodine_kit.process import StopRequest, print_json, safe_stream


def written(text: str, encoding: str, tmp_path: Path, descriptor: int = 2, errors: str = "strict") -> bytes:
    """What a safe stream writes to a file."""
    path = tmp_path / "out"
    with path.open("w", encoding=encoding, errors=errors, newline="") as file:
        safe_stream(file, descriptor).write(text + "\n")
    return path.read_bytes().removesuffix("\n".encode(encoding))


@pytest.mark.parametrize(
    ("text", "encoding", "expected"),
    [
        ("35×35 ± 0.5 − …", "ascii", b"35x35 +/- 0.5 - ..."),
        ("4.12 × 10⁻⁵ R²", "ascii", b"4.12 x 10^-5 R^2"),
        ("╭─┬─╮│█▌", "ascii", b"+-+-+|##"),
        ("35×35 café 預", "latin-1", "35×35 café \\u9810".encode("latin-1")),
        ("預測 café", "cp932", "預測 caf\\xe9".encode("cp932")),
        ("×", "utf-8", "×".encode()),
        ("caf\udce9", "utf-8", b"caf\\xe9"),
        ("caf\udce9", "utf-16-le", "caf\\xe9".encode("utf-16-le")),
    ],
)
def test_what_the_encoding_lacks_is_shown_in_ascii(text: str, encoding: str, expected: bytes, tmp_path: Path) -> None:
    assert written(text, encoding, tmp_path) == expected


def test_standard_output_keeps_the_bytes_of_a_file_name(tmp_path: Path) -> None:
    assert written("caf\udce9", "utf-8", tmp_path, 1) == b"caf\xe9"
    assert written("caf\udce9", "ascii", tmp_path, 1) == b"caf\xe9"


def test_another_choice_of_the_user_is_kept(tmp_path: Path) -> None:
    assert written("×", "ascii", tmp_path, errors="xmlcharrefreplace") == b"&#215;"


def test_json_is_escaped_where_it_cannot_be_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    for encoding, name, expected in (
        ("utf-8", "é", '"é"\n'.encode()),
        ("utf-8", "\udce9", b'"\\udce9"\n'),
        ("latin-1", "é", b'"\\u00e9"\n'),
    ):
        out = io.TextIOWrapper(io.BytesIO(), encoding)
        monkeypatch.setattr(sys, "stdout", out)
        print_json(name)
        out.seek(0)
        assert out.buffer.read() == expected


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_an_error_once_and_only_for_standard_output() -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        errors, out = safe_stream(full, 2), safe_stream(full, 1)
        errors.write("lost\n")
        errors.flush()
        out.write("result\n")
        with pytest.raises(StorageError, match=os.strerror(errno.ENOSPC)):
            out.flush()
        out.flush()  # Python flushes again at its end


def test_an_ignored_signal_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopRequest(0) as stop:
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
            signal.raise_signal(signal.SIGHUP)
            assert not stop.signalled
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_supervisor_that_repeats_its_signal_interrupts_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hanging cleanup can be interrupted, however often the signals arrive."""
    now = 0.0
    monkeypatch.setattr(process, "_requested", None)
    monkeypatch.setattr(process, "time", SimpleNamespace(monotonic=lambda: now))
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    interrupted = []
    try:
        process.interrupt_on_signals()
        for now in (0.0, 5.0, 9.9, 11.0, 16.0, 22.0):
            try:
                signal.raise_signal(signal.SIGTERM)
            except KeyboardInterrupt:
                interrupted.append(now)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert interrupted == [0.0, 11.0, 22.0]


class Closing(logging.Handler):
    """Closes the other side of a terminal at the first message about a shard."""

    def __init__(self, master: int) -> None:
        super().__init__(logging.INFO)
        self.open = [master]

    def emit(self, record: logging.LogRecord) -> None:
        if self.open and "shard" in record.getMessage():
            os.close(self.open.pop())


def test_the_python_interface_survives_a_terminal_that_is_closed_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    master, slave = os.openpty()
    closing = Closing(master)
    logger = logging.getLogger("iodine_kit")
    logger.addHandler(closing)
    caplog.set_level(logging.INFO, "iodine_kit")
    monkeypatch.setenv("TERM", "xterm")
    try:
        with os.fdopen(slave, "w", encoding="utf-8") as terminal:
            monkeypatch.setattr(sys, "stderr", terminal)
            options = {"format.scenes_per_shard": 1}
            made = ik.prepare("tetrominoes", generate=4, split={"train": 4}, settings=options, store=tmp_path)
            monkeypatch.undo()
    finally:
        logger.removeHandler(closing)
    assert not closing.open and made.facts["splits"] == {"train": 4}


def test_the_python_interface_knows_home_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    made = ik.prepare("tetrominoes", generate=4, split={"train": 4}, settings={"dataset.cell": 1}, store="~/store")
    assert made.path.is_relative_to(tmp_path)
    assert len(ik.load_dataset(f"~/store/dataset/{made.path.name}", "train")) == 4
    assert len(ik.load_dataset(Path("~/store/dataset") / made.path.name, "train")) == 4


@pytest.mark.parametrize(("succeeded", "status"), [(True, 0), (False, 130)])
def test_an_interruption_after_the_work_does_not_change_the_exit_status(succeeded: bool, status: int) -> None:
    program = f"""
import os, signal, sys
import iodine_kit.cli.app as module

def late():
    sys.stdout.write("data/run/x")
    os.kill(os.getpid(), signal.SIGINT)
    raise SystemExit(0)

module.app, module._Group.has_succeeded = late, {succeeded}
module.main()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (status, "data/run/x")
    assert ("interrupted: " in done.stderr) != succeeded
