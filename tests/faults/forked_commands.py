"""Run many commands of the command line, each in a process that is forked from one that has loaded everything.

A :class:`Fault` makes a command die at its n-th file operation, or lets the system refuse operations from the n-th on.
``events.c`` counts the file operations of all libraries; without a C compiler, an audit hook counts those of Python.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from warm import hash_code

HERE = Path(__file__).parent
KINDS = ("off", "count", "kill", "refuse")
ALL, SPACE = 3, 1
"""Classes of file operations, as in ``events.c``: all of them, or only those that need space on the disk."""
SECONDS = 120
"""A command that takes longer hangs."""
LOADED = (
    "torch._dynamo", "sklearn.linear_model", "sklearn.neural_network", "pandas", "webdataset", "resvg_py", "h5py",
    "scipy.optimize", "safetensors.torch", "PIL.PngImagePlugin", "jinja2", "fsspec.implementations.local",
    "iodine_kit.cli.app", "iodine_kit.cli.console", "iodine_kit.pipeline", "iodine_kit.stages.compare",
    "iodine_kit.stages.import_checkpoint", "iodine_kit.stages.import_predictions", "iodine_kit.stages.stats",
    "iodine_kit.stages.export", "iodine_kit.models.iodine", "iodine_kit.training.loop",
)  # fmt: skip


@dataclass(frozen=True)
class Fault:
    """What happens to a command.

    Attributes:
        kind: ``kill`` sends SIGKILL, ``refuse`` returns an error of the system, ``count`` only counts.
        at: number of the file operation, from 1.
        error: number of the error, such as ``errno.ENOSPC``.
        once: only operation ``at`` is refused, not all later ones.
        torn: if operation ``at`` writes, the first half of it is done.
        classes: the operations that count, ``ALL`` or ``SPACE``.
        clock: seconds by which the clock of the command differs.
    """

    kind: str = "count"
    at: int = 0
    error: int = 0
    once: bool = False
    torn: bool = False
    classes: int = ALL
    clock: int = 0


class Ended(NamedTuple):
    """How a command ended: its exit status, or minus the number of the signal; its streams; its file operations."""

    status: int
    out: str
    err: str
    events: int

    @property
    def killed(self) -> bool:
        """Whether SIGKILL ended it."""
        return self.status == -signal.SIGKILL

    @property
    def sentence(self) -> str:
        """Its error message in one line."""
        return " ".join(self.err.partition("error: ")[2].split())


class Commands:
    """Runs commands; use it as a context."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="iodine-kit-faults-"))
        self._folder.chmod(0o755)
        library = _compile(self._folder / "events.so")
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200", "HAMMER_EVENTS": str(library or "")}
        if library:
            environment["LD_PRELOAD"] = str(library)
        self.counts_all = library is not None
        paths = [str(HERE.parents[1]), str(HERE.parent), os.environ.get("PYTHONPATH", "")]
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__)), str(self._folder)],
            env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def __enter__(self) -> Commands:
        return self

    def __exit__(self, *error: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def run(
        self, *arguments: object, folder: Path, fault: Fault | None = None, seconds: float = SECONDS, memory: int = 0,
        powerless: bool = False, large: bool = False,
    ) -> Ended:  # fmt: skip
        """Run one command in a folder.

        Args:
            seconds: afterwards SIGALRM ends it.
            memory: most bytes that it may allocate in addition to what the process has loaded; 0 for any number.
            powerless: permissions hold for this command also if it runs as root.
            large: treat every file as one that is too large to be hashed whenever it is used.
        """
        request = {
            "arguments": list(map(str, arguments)), "folder": str(folder), "fault": asdict(fault) if fault else None,
            "seconds": seconds, "memory": memory, "powerless": powerless, "large": large,
        }  # fmt: skip
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return Ended(**json.loads(self._process.stdout.readline()))


def _compile(library: Path) -> Path | None:
    """Compile ``events.c``; ``None`` where that or LD_PRELOAD is impossible."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or not sys.platform.startswith("linux"):
        return None
    command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(HERE / "events.c"), "-ldl"]
    done = subprocess.run(command, capture_output=True, check=False)
    return library if done.returncode == 0 else None


# In the process that forks


def serve(folder: Path) -> None:
    """Answer requests until standard input ends."""
    _load()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(_run(json.loads(line), folder)._asdict()) + "\n")
        sys.stdout.flush()


def _load() -> None:
    import importlib

    for name in LOADED:
        importlib.import_module(name)
    hash_code()


def _run(request: dict[str, Any], folder: Path) -> Ended:
    streams = [folder / "out", folder / "err", folder / "events"]
    for path in streams:
        path.write_bytes(b"")
        path.chmod(0o666)
    process = os.fork()
    if process == 0:
        status = 70
        try:
            status = _command(request, *streams)
        finally:
            os._exit(status)
    _, ended = os.waitpid(process, 0)
    _end_group(process)
    out, err, events = (path.read_text("utf-8", "replace") for path in streams)
    return Ended(os.waitstatus_to_exitcode(ended), out, err, int(events or 0))


def _end_group(leader: int) -> None:
    """End the workers of a command that was killed; they end by themselves, but later."""
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        return


def _command(request: dict[str, Any], out: Path, err: Path, events: Path) -> int:
    os.setsid()
    os.chdir(request["folder"])
    for number, path in enumerate((Path(os.devnull), out, err)):
        opened = os.open(path, os.O_RDWR | os.O_APPEND)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin = open(0, closefd=False, encoding="utf-8")  # noqa: SIM115
    sys.stdout = open(1, "w", closefd=False, encoding="utf-8")  # noqa: SIM115
    sys.stderr = open(2, "w", closefd=False, encoding="utf-8")  # noqa: SIM115
    counted = os.open(events, os.O_WRONLY)
    _limit(request)
    with _fault(request) as count:
        status = _main(request["arguments"], request["large"])
    os.write(counted, str(count()).encode())
    return status


def _limit(request: dict[str, Any]) -> None:
    signal.setitimer(signal.ITIMER_REAL, request["seconds"])  # the default action ends the process, also in C code
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if request["memory"]:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
        limit = pages * resource.getpagesize() + request["memory"]
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    if request["powerless"] and os.geteuid() == 0:
        version, no_capabilities = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
        assert ctypes.CDLL(None).capset(version, no_capabilities) == 0


def _main(arguments: list[str], large: bool) -> int:
    from iodine_kit.cli import main
    from iodine_kit.store import store

    if large:
        store.HASHED_ON_USE = -1

    sys.argv = ["iodine-kit", *arguments]
    try:
        main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        import traceback

        traceback.print_exc()
        return 1
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
    return 0


@contextmanager
def _fault(request: dict[str, Any]) -> Iterator[Callable[[], int]]:
    fault = Fault(**(request["fault"] or {"kind": "off"}))
    below = os.path.realpath(request["folder"])
    if os.environ["HAMMER_EVENTS"]:
        library = ctypes.CDLL(os.environ["HAMMER_EVENTS"])
        library.hammer_arm(
            KINDS.index(fault.kind), ctypes.c_long(fault.at), fault.error, int(fault.once), int(fault.torn),
            fault.classes, ctypes.c_long(fault.clock), below.encode(),
        )  # fmt: skip
        ended: list[int] = []
        try:
            yield lambda: ended[0]
        finally:
            ended.append(library.hammer_disarm())
        return
    audit = AuditedEvents(fault, below)
    sys.addaudithook(audit)
    try:
        yield lambda: audit.events
    finally:
        audit.fault = Fault("off")


class AuditedEvents:
    """Counts what Python itself does with files: less than ``events.c`` sees."""

    NAMES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.utime", "os.link", "os.chmod")

    def __init__(self, fault: Fault, folder: str) -> None:
        self.fault, self.folder, self.events = fault, folder, 0

    def __call__(self, name: str, arguments: tuple[Any, ...]) -> None:
        fault = self.fault
        if fault.kind == "off" or not self._counts(name, arguments):
            return
        self.events += 1
        if fault.kind == "kill" and self.events == fault.at:
            os.kill(os.getpid(), signal.SIGKILL)
        is_reached = self.events == fault.at if fault.once else self.events >= fault.at
        if fault.kind == "refuse" and is_reached:
            raise OSError(fault.error, os.strerror(fault.error), str(arguments[0]))

    def _counts(self, name: str, arguments: tuple[Any, ...]) -> bool:
        if name == "open":
            path, _, flags = arguments
            if isinstance(path, int) or not flags & (os.O_CREAT | os.O_WRONLY | os.O_RDWR):
                return False
        elif name not in self.NAMES or (self.fault.classes == SPACE and name != "os.mkdir"):
            return False
        path = os.fsdecode(arguments[0]) if not isinstance(arguments[0], int) else "/"
        return not path.startswith("/") or path.startswith(self.folder)


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
