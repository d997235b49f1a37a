"""Run the command line in forks of one process that has imported everything: importing takes most of a test's time.

A fork is a process of its own: it has its own folder, streams and exit status, and ends like any other. A command that
depends on the environment at import, on signals, or on what is imported has to be started by a test itself.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import runpy
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex

AVAILABLE = sys.platform == "linux"
IMPORTED = ("torch", "h5py", "pandas", "scipy.optimize", "webdataset", "iodine_kit.cli.app", "iodine_kit.pipeline")
"""What takes the time. ``iodine_kit.pipeline`` imports every stage."""
LONGEST = 300.0
"""Seconds that a command may take."""

_CLIENT = """#!{python} -IS
import json, os, socket, sys
connection = socket.socket(socket.AF_UNIX)
connection.connect("\\0{path}")
streams = [f"/proc/{{os.getpid()}}/fd/{{number}}" for number in (1, 2)]
request = {{"command": sys.argv[1:], "folder": os.getcwd(), "environment": dict(os.environ), "streams": streams}}
stream = connection.makefile("rw")
stream.write(json.dumps(request) + "\\n")
stream.flush()
sys.exit(int(stream.readline()) % 256)
"""


class WarmProcess:
    """The process that forks; started when it is first used, and again if it was killed."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def run(
        self, command: Sequence[str], folder: Path, environment: Mapping[str, str]
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in a folder, as ``subprocess.run`` would with ``capture_output`` and ``text``."""
        with tempfile.TemporaryDirectory() as scratch:
            streams = [Path(scratch, name) for name in ("out", "err")]
            status = self.request({
                "command": list(command), "folder": str(folder), "environment": dict(environment),
                "streams": list(map(str, streams)),
            })  # fmt: skip
            out, err = (stream.read_bytes().decode() for stream in streams)
        return subprocess.CompletedProcess(["iodine-kit", *command], status, out, err)

    @contextmanager
    def program(self, folder: Path) -> Iterator[None]:
        """Put a program ``iodine-kit`` into a folder: for scripts whose commands run one after the other."""
        path, program = f"iodine-kit-{os.getpid()}-{token_hex(4)}", folder / "iodine-kit"
        listening = socket.socket(socket.AF_UNIX)
        listening.bind("\0" + path)  # Linux needs no file for it
        listening.listen()
        folder.mkdir(parents=True, exist_ok=True)
        program.write_text(_CLIENT.format(python=sys.executable, path=path))
        program.chmod(0o755)
        threading.Thread(target=self._answer, args=(listening,), daemon=True).start()
        try:
            yield
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            listening.close()

    def request(self, request: Mapping[str, object]) -> int:
        """Run what a request describes; returns its exit status."""
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(
                [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            atexit.register(self._end, self._process)
        process = self._process
        assert process.stdin and process.stdout
        patience = threading.Timer(LONGEST, process.kill)  # the answer is then empty, which is an error
        patience.start()
        process.stdin.write(json.dumps(request) + "\n")
        process.stdin.flush()
        status = process.stdout.readline()
        patience.cancel()
        return int(status)

    def _answer(self, listening: socket.socket) -> None:
        with suppress(OSError):  # it was closed
            while True:
                connection, _ = listening.accept()
                with connection, connection.makefile("rw") as stream:
                    stream.write(f"{self.request(json.loads(stream.readline()))}\n")

    def _end(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin
        process.stdin.close()  # ends the loop over its requests
        process.wait()


def serve() -> None:
    """Fork for every request on standard input; returns only in forks, which are to run the command."""
    for name in IMPORTED:
        __import__(name)
    hash_code()
    gc.freeze()  # no collection in a fork touches, and so copies, the memory of what was imported
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            become(request)
            return
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        sys.stdout.write(f"{status}\n")
        sys.stdout.flush()
    sys.exit()


def hash_code() -> None:
    """Examine the code of all stages, which every command does that makes an artifact; forks inherit the result."""
    from iodine_kit.metrics import METRICS
    from iodine_kit.pipeline import STAGES
    from iodine_kit.source_code import code_of

    plugins = ["model/iodine", "dataset/tetrominoes", "format/hdf5", *(f"metric/{name}" for name in METRICS.names())]
    for stage in STAGES.values():
        code_of(stage.plan.__module__, plugins)


def become(request: dict[str, object]) -> None:
    """Make this fork the process that was asked for."""
    os.chdir(str(request["folder"]))
    os.environ.clear()
    os.environ.update(request["environment"])  # type: ignore[call-overload]
    sys.argv = ["iodine-kit", *request["command"]]  # type: ignore[misc]
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND  # both streams may be the same file
    for descriptor, path in enumerate([os.devnull, *request["streams"]]):  # type: ignore[misc]
        opened = os.open(path, flags if descriptor else os.O_RDONLY, 0o600)
        os.dup2(opened, descriptor)
        os.close(opened)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - what was read ahead belongs to the parent


def end(status: int) -> None:
    """End this process as Python does, but without taking down every imported module, which takes a second."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    serve()
    try:
        runpy.run_module("iodine_kit", run_name="__main__", alter_sys=True)
    except SystemExit as error:
        if isinstance(error.code, str):
            sys.stderr.write(error.code + "\n")
        end(error.code if isinstance(error.code, int) else int(error.code is not None))
    except BaseException:
        traceback.print_exc()
        end(1)
    end(0)
