"""What surrounds the program: signals, terminals, pipes and their encodings never end work that can be finished."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from support import TINY, Command, put, scene

pytestmark = pytest.mark.slow
KIT = [sys.executable, "-m", "iodine_kit"]
SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
BOXES = "─━│┃╭╮╰╯█"


def environment(**more: str) -> dict[str, str]:
    """This process's environment, without what describes its terminal."""
    own = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "TERM")}
    return {**own, "OMP_NUM_THREADS": "1", **more}


def ignoring(*numbers: signal.Signals) -> Callable[[], None]:
    """What makes a new process ignore signals from its start, as ``nohup`` and shells do."""

    def prepare() -> None:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN if number in numbers else signal.SIG_DFL)

    return prepare


def start(*arguments: object, folder: Path, ignored: tuple[signal.Signals, ...] = (), **more: Any) -> Any:
    """Start the command line with pipes in a process group of its own."""
    options: dict[str, Any] = {"env": environment(), "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
    return subprocess.Popen(
        [*KIT, *map(str, arguments)], cwd=folder, text=True, preexec_fn=ignoring(*ignored), process_group=0, **options
    )


class PseudoTerminal:
    """A terminal whose other side is ours: a window of some size that can be closed."""

    def __init__(self, columns: int = 80, lines: int = 24) -> None:
        self.master, self.slave = os.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.text = b""

    def start(
        self, *arguments: object, folder: Path, ignored: tuple[signal.Signals, ...] = (), **variables: str
    ) -> subprocess.Popen[bytes]:
        """Start the command line with this as its controlling terminal; standard output is a pipe, as in ``$(…)``."""

        def prepare() -> None:
            ignoring(*ignored)()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        process = subprocess.Popen(
            [*KIT, *map(str, arguments)],
            cwd=folder,
            env=environment(**{"TERM": "xterm-256color", **variables}),
            stdin=self.slave,
            stdout=subprocess.PIPE,
            stderr=self.slave,
            start_new_session=True,
            preexec_fn=prepare,
        )
        os.close(self.slave)
        return process

    def read(self) -> bytes:
        """What was written since the last time; empty at the end."""
        try:
            new = os.read(self.master, 1 << 16)
        except OSError:
            new = b""
        self.text += new
        return new

    def read_until(self, expected: bytes) -> None:
        while expected not in self.text:
            assert self.read(), self.text

    def close(self) -> None:
        os.close(self.master)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the store ``data`` that has a tiny data set, run, predictions and evaluation."""
    folder = tmp_path_factory.mktemp("made")
    generate = ["prepare", "tetrominoes", "--generate", "24", "--split", "train=16", "--split", "test=8"]
    for arguments in (
        [*generate, "--set", "dataset.cell=1"],
        ["train", "--set", "train.steps=1", *TINY],
        ["infer"],
        ["eval", "--metric", "ari"],
    ):
        subprocess.run([*KIT, *arguments], cwd=folder, env=environment(), capture_output=True, check=True)
    return folder


def train(steps: int, *more: str) -> list[str]:
    return ["train", "--set", f"train.steps={steps}", "--set", "train.device=cpu", *TINY, *more]


def lines_until(process: Any, word: str) -> Iterator[str]:
    for line in process.stderr:
        yield line
        if word in line:
            return
    raise AssertionError(f"no '{word}'")


# Signals


def test_signals_that_are_ignored_at_the_start_stay_ignored_in_training(store: Path) -> None:
    process = start(*train(150), folder=store, ignored=SIGNALS)
    list(lines_until(process, "step 10/"))
    for number in SIGNALS:
        os.killpg(process.pid, number)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0 and "step 150/150" in err and (store / out.strip()).is_dir()


def test_nohup(store: Path) -> None:
    """Only SIGHUP is ignored: the run survives it, and SIGTERM still ends it with a checkpoint."""
    process = start(*train(2000), folder=store, ignored=(signal.SIGHUP,))
    list(lines_until(process, "step 10/"))
    os.killpg(process.pid, signal.SIGHUP)
    list(lines_until(process, "step "))
    os.killpg(process.pid, signal.SIGTERM)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130 and err.splitlines()[-1].startswith("interrupted: stopped after step")


def test_signals_that_are_ignored_at_the_start_stay_ignored_in_prepare_with_workers(tmp_path: Path) -> None:
    generate = ["prepare", "tetrominoes", "--generate", "60", "--workers", "2", "--set", "format.scenes_per_shard=5"]
    process = start(*generate, folder=tmp_path, ignored=SIGNALS)
    list(lines_until(process, "shard 0"))
    for number in SIGNALS:
        os.killpg(process.pid, number)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0 and (tmp_path / out.strip()).is_dir()


@pytest.mark.parametrize(
    ("stage", "number"),
    [
        ("infer", signal.SIGTERM),
        ("eval", signal.SIGTERM),
        ("report", signal.SIGTERM),
        ("stats", signal.SIGTERM),
        ("infer", signal.SIGHUP),
        ("eval", signal.SIGINT),
    ],
)
def test_a_signal_ends_a_stage_with_one_sentence_and_status_130(
    stage: str, number: signal.Signals, store: Path
) -> None:
    before = {path for path in (store / "data").rglob("*") if ".locks" not in path.parts and path.is_dir()}
    process = start(stage, "--overwrite", folder=store)
    list(lines_until(process, "using "))
    os.killpg(process.pid, number)
    out, err = process.communicate(timeout=120)
    if process.returncode == 0:  # on a busy machine, the work can end before the signal arrives
        assert (store / out.strip()).is_dir()
        return
    assert (process.returncode, out) == (130, "") and "Traceback" not in err
    assert err.splitlines()[-1] == "interrupted: no half-written artifact is left"
    after = {path for path in (store / "data").rglob("*") if ".locks" not in path.parts and path.is_dir()}
    assert after == before


@pytest.mark.parametrize(
    ("workers", "number"), [(1, signal.SIGTERM), (2, signal.SIGTERM), (2, signal.SIGHUP), (2, signal.SIGINT)]
)
def test_a_signal_to_the_whole_group_interrupts_prepare_which_resumes(
    workers: int, number: signal.Signals, tmp_path: Path
) -> None:
    generate = ["prepare", "tetrominoes", "--generate", "400", "--workers", workers]
    generate += ["--set", "format.scenes_per_shard=5"]
    process = start(*generate, folder=tmp_path)
    list(lines_until(process, "shard 0"))
    os.killpg(process.pid, number)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130 and "Traceback" not in err
    assert err.splitlines()[-1] == "interrupted: finished shards are kept; run the same command again to resume"
    again = subprocess.run([*KIT, *map(str, generate)], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "resuming after" in again.stderr


def test_a_second_hangup_changes_nothing(store: Path) -> None:
    """A shell and its terminal both send SIGHUP when the terminal is closed."""
    process = start(*train(400), folder=store)
    list(lines_until(process, "step 10/"))
    for _ in range(3):
        os.killpg(process.pid, signal.SIGHUP)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130 and err.splitlines()[-1].startswith("interrupted: stopped after step")


# Terminals


def test_a_closed_terminal_does_not_end_training_that_ignores_hangups(store: Path) -> None:
    terminal = PseudoTerminal()
    process = terminal.start(*train(300), folder=store, ignored=(signal.SIGHUP,))
    terminal.read_until(b"/300")
    terminal.close()
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0 and (store / out.decode().strip()).is_dir()


def test_a_closed_terminal_ends_training_with_a_checkpoint(store: Path) -> None:
    terminal = PseudoTerminal()
    process = terminal.start(*train(500), folder=store)
    terminal.read_until(b"/500")
    terminal.close()
    out, _ = process.communicate(timeout=120)
    assert (process.returncode, out) == (130, b"")
    assert list(store.glob("data/run/.*.partial/checkpoint-*.safetensors"))


@pytest.mark.parametrize("ignored", [True, False])
def test_a_closed_terminal_in_the_middle_of_a_progress_bar(ignored: bool, tmp_path: Path) -> None:
    generate = ["prepare", "tetrominoes", "--generate", "300", "--set", "format.scenes_per_shard=20"]
    terminal = PseudoTerminal()
    process = terminal.start(*generate, folder=tmp_path, ignored=(signal.SIGHUP,) if ignored else ())
    terminal.read_until(b"/300")
    terminal.close()
    out, _ = process.communicate(timeout=120)
    assert process.returncode == (0 if ignored else 130)
    assert bool(out) is ignored
    again = subprocess.run(
        [*KIT, *generate], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=True
    )
    assert (tmp_path / again.stdout.strip()).is_dir() and ("up to date" in again.stderr) is ignored


@pytest.mark.parametrize(("columns", "kind"), [(1, "xterm-256color"), (20, "xterm-256color"), (20, "dumb"), (80, "")])
def test_training_in_a_narrow_or_unknown_terminal(columns: int, kind: str, store: Path) -> None:
    terminal = PseudoTerminal(columns, 5)
    process = terminal.start(*train(3), "--overwrite", folder=store, TERM=kind)
    while terminal.read():
        pass
    assert process.wait(60) == 0 and b"Traceback" not in terminal.text
    if kind != "xterm-256color":
        assert b"\x1b[2K" not in terminal.text and b"step 3/3" in terminal.text.replace(b"\r\n", b"")


def test_a_log_with_forced_colours_is_not_redrawn(store: Path) -> None:
    done = subprocess.run(
        [*KIT, *train(3), "--overwrite"], cwd=store, env=environment(FORCE_COLOR="1", CI="true", TERM="xterm"),
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "step 3/3" in done.stderr and "\x1b[?25l" not in done.stderr and "\x1b[2K" not in done.stderr


def test_no_color(store: Path) -> None:
    terminal = PseudoTerminal()
    process = terminal.start("eval", folder=store, NO_COLOR="1")
    while terminal.read():
        pass
    assert process.wait(60) == 0 and b"\x1b[3" not in terminal.text


@pytest.mark.parametrize("columns", ["1", "20"])
def test_a_narrow_window(columns: str, store: Path) -> None:
    for command in ("datasets", "train -h", "config infer", "list", "eval", "models"):
        done = subprocess.run(
            [*KIT, *command.split()], cwd=store, env=environment(COLUMNS=columns), capture_output=True, check=False
        )
        assert done.returncode == 0 and b"Traceback" not in done.stderr


def test_many_shards_are_few_lines_of_a_log(iodine_kit: Command) -> None:
    more = ["--set", "format.scenes_per_shard=1", "--set", "dataset.cell=1"]
    made = iodine_kit("prepare", "tetrominoes", "--generate", 150, "--split", "train=150", *more)
    assert len(made.stderr.splitlines()) < 25 and "shard 149" in made.stderr


# Streams


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-", "2>/dev/full", "2</dev/null"])
def test_streams_that_are_closed_or_full_do_not_change_the_status(closed: str, tmp_path: Path) -> None:
    generate = "prepare tetrominoes --generate 4 --split test=4 --set dataset.cell=1 --store s"
    done = subprocess.run(
        ["bash", "-c", f"exec {' '.join(KIT)} {generate} {closed}"], cwd=tmp_path, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    made = next(tmp_path.glob("s/dataset/tetrominoes-*"))
    assert subprocess.run([*KIT, "verify", made, "--store", "s"], cwd=tmp_path, check=False).returncode == 0
    if "2>/dev" in closed or closed == "<&-":
        assert done.stdout.decode().strip() == str(made.relative_to(tmp_path))


@pytest.mark.parametrize("streams", ["2>&-", ">&- 2>&-"])
def test_training_without_streams(streams: str, store: Path) -> None:
    command = " ".join([*KIT, *train(2), "--overwrite"]).replace("'", "\\'")
    assert subprocess.run(["bash", "-c", f"exec {command} {streams}"], cwd=store, check=False).returncode == 0


@pytest.mark.parametrize("command", ["list", "show", "config train --json"])
def test_a_full_disk_for_the_result_is_one_sentence(command: str, store: Path) -> None:
    """Standard output cannot take the result: an error, also for what fits into a buffer until the end."""
    names = command.split()
    if command == "show":
        names.append(str(next((store / "data/dataset").glob("tetrominoes-*"))))
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([*KIT, *names], cwd=store, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 14 and len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("error: standard output: No space left on device")


def test_a_pipe_that_does_not_block(store: Path) -> None:
    """Another process can share the pipe and make it non-blocking."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    process = subprocess.Popen([*KIT, "config", "train", "--json"], cwd=store, stdout=writer, stderr=subprocess.PIPE)
    wide = subprocess.Popen([*KIT, "config", "run", "--json"], cwd=store, stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    text = b""
    while block := os.read(reader, 1 << 10):
        text += block
    assert process.wait(60) == 0 and wide.wait(60) in (0, 2, 4) and b"train.steps" in text


# Encodings


def run_as(encoding: Mapping[str, str], *arguments: object, folder: Path) -> subprocess.CompletedProcess[bytes]:
    command = [os.fsencode(one) if isinstance(one, str | Path) else str(one).encode() for one in arguments]
    return subprocess.run(
        [*map(os.fsencode, KIT), *command], cwd=folder, env=environment(**encoding), capture_output=True, check=False
    )


NO_UTF8 = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


LISTINGS = ("datasets", "protocols", "train -h", "models tetrominoes", "eval", "list", "config infer")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp932", "cp1252", "koi8-r"])
def test_every_listing_can_be_shown_in_any_encoding(encoding: str, store: Path) -> None:
    dataset = next((store / "data/dataset").glob("tetrominoes-*"))
    for command in (*(LISTINGS if encoding == "ascii" else LISTINGS[:3]), f"show {dataset}"):
        done = run_as({"PYTHONIOENCODING": encoding}, *command.split(), folder=store)
        assert done.returncode == 0, done.stderr
        shown = done.stdout.decode(encoding) + done.stderr.decode(encoding)
        assert "UnicodeEncodeError" not in shown and "\\u25" not in shown and "?" * 5 not in shown
        if encoding in ("ascii", "latin-1", "cp1252"):
            assert not set(shown) & set(BOXES)


def test_every_listing_in_the_locale_c(store: Path) -> None:
    for command in ("datasets", "train -h", "eval"):
        done = run_as(NO_UTF8, *command.split(), folder=store)
        assert done.returncode == 0, done.stderr
        (done.stdout + done.stderr).decode("ascii")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp932"])
def test_a_store_whose_name_the_stream_lacks(encoding: str, tmp_path: Path) -> None:
    generate = ["prepare", "tetrominoes", "--generate", "4", "--split", "train=4", "--set", "dataset.cell=2"]
    where = ["--store", "données"]
    done = run_as({"PYTHONIOENCODING": encoding}, *generate, *where, folder=tmp_path)
    assert done.returncode == 0 and list(tmp_path.glob("données/dataset/tetrominoes-*"))
    as_json = run_as({"PYTHONIOENCODING": encoding}, *generate, *where, "--json", folder=tmp_path)
    assert as_json.returncode == 0 and (tmp_path / json.loads(as_json.stdout)["artifact"]).is_dir()
    missing = run_as({"PYTHONIOENCODING": encoding}, "show", "naïve", *where, folder=tmp_path)
    assert missing.returncode == 10 and b"Traceback" not in missing.stderr


@pytest.mark.parametrize("locale", [{}, NO_UTF8], ids=["utf-8", "c"])
def test_a_store_whose_name_is_no_utf8_can_be_used_by_a_script(locale: dict[str, str], tmp_path: Path) -> None:
    generate = ["prepare", "tetrominoes", "--generate", "6", "--split", "train=4", "--split", "test=2"]
    where = ["--store", os.fsdecode(b"donn\xe9es")]
    made = run_as(locale, *generate, "--set", "dataset.cell=1", *where, folder=tmp_path)
    assert made.returncode == 0, made.stderr
    dataset = os.fsdecode(made.stdout.strip())
    for arguments in (
        ["show", dataset, *where],
        ["stats", dataset, *where],
        [*train(1), "--dataset", dataset, *where],
        ["infer", *where],
        ["eval", *where],
        ["report", *where, "--output", os.fsdecode(b"p\xe9ge.html")],
        ["verify", dataset, *where],
    ):
        done = run_as(locale, *arguments, folder=tmp_path)
        assert done.returncode == 0, done.stderr
    as_json = run_as(locale, "list", "--json", *where, folder=tmp_path)
    assert all((tmp_path / row["artifact"]).is_dir() for row in json.loads(as_json.stdout))


@pytest.mark.parametrize("locale", [{}, NO_UTF8], ids=["utf-8", "c"])
def test_pictures_whose_names_are_no_utf8(locale: dict[str, str], tmp_path: Path) -> None:
    source = tmp_path / os.fsdecode(b"caf\xe9")
    for number in range(3):
        image, mask = scene(number)
        name = os.fsdecode(b"bl\xfc%d.png" % number)
        put(source / "images" / name, image)
        put(source / "masks" / name, mask)
    made = run_as(locale, "prepare", "folder", "--source", source, "--split", "test=3", "--json", folder=tmp_path)
    assert made.returncode == 0, made.stderr
    artifact = json.loads(made.stdout)["artifact"]
    names = json.loads((tmp_path / artifact / "manifest.json").read_text("utf-8"))["identity"]["sources"]
    assert sorted(name["name"].lower()[:2] for name in names) == ["bl"] * 6
    assert run_as(locale, "stats", artifact, "--json", folder=tmp_path).returncode == 0
    damaged = source / os.fsdecode(b"images/bl\xfc1.png")
    damaged.write_bytes(b"\x89PNG")
    refused = run_as(locale, "prepare", "folder", "--source", source, "--split", "test=3", folder=tmp_path)
    assert refused.returncode == 6 and b"bl\\xfc1.png" in refused.stderr and b"Traceback" not in refused.stderr
