"""The machine: what the system refuses, home folders, disk space, memory, the CPU's cores, torchrun's environment."""

from __future__ import annotations

import ctypes
import errno
import os
import re
import resource
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar

from iodine_kit.errors import ConfigError, IodineKitError, MemoryLimitError, StorageError
from iodine_kit.formatting import byte_size

T = TypeVar("T")

TORCHRUN = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""Environment variables that torchrun sets for each of its processes."""


def is_one_of_several() -> bool:
    """Whether torchrun started this process together with others."""
    return all(name in os.environ for name in TORCHRUN) and os.environ["WORLD_SIZE"] != "1"


_NO_ANSWER = "the disk or network file system does not answer; check it, then run the command again"
_NO_LOCKS = "this file system lacks what is needed, such as file locks; choose a folder on another one"
_SPACE = "free disk space, or choose another disk"
_REMEDIES = {
    errno.EACCES: "check the permissions of the file and of its folders",
    errno.EPERM: "check the permissions of the file and of its folders",
    errno.EROFS: "this disk cannot be written; choose another folder",
    errno.ENOSPC: _SPACE,
    errno.EDQUOT: "your quota of disk space is used up; delete files, or choose another disk",
    errno.EFBIG: "the file system, or the limit that 'ulimit -f' prints, allows no larger file; choose another disk",
    errno.EMFILE: "allow this process more open files: ulimit -n 4096",
    errno.ENFILE: "too many files are open on this machine; end other programs",
    errno.ESTALE: "the network file system replaced it; run the command again, or mount the file system again",
    errno.ETIMEDOUT: _NO_ANSWER,
    errno.EIO: _NO_ANSWER,
    errno.ENOTCONN: _NO_ANSWER,
    getattr(errno, "EHOSTDOWN", errno.EIO): _NO_ANSWER,
    getattr(errno, "EREMOTEIO", errno.EIO): _NO_ANSWER,  # Linux only
    errno.EISDIR: "it is a folder; give a file",
    errno.ENOTDIR: "a part of this path is a file; check the path",
    errno.ENAMETOOLONG: "give it a shorter name",
    errno.ELOOP: "it is a symbolic link that leads back to itself; replace the link by the file",
    errno.ENOENT: "it was removed or renamed; check the path",
    errno.ENOLCK: _NO_LOCKS,
    errno.EOPNOTSUPP: _NO_LOCKS,
}
"""What a user can do, by the number of the system's error."""
_WRONG_BYTES = (errno.EINVAL, errno.EOVERFLOW, errno.EFAULT)  # a damaged offset or size leads to no place
_NUMBER = re.compile(r"\berrno = (\d+)")
_NO_FILTER = re.compile(r"required filter|filter \S+ is not|can't open directory \(", re.IGNORECASE)


def refusal(error: BaseException, place: object, verb: str = "read") -> IodineKitError | None:
    """What to raise if the system or the HDF5 library refused to work; ``None`` if the bytes of a file are wrong.

    h5py puts the number of the system's error into its message.

    Args:
        error: what opening, reading or writing raised.
        place: the file; begins the message.
        verb: what was tried: ``read`` or ``written``.

    Returns:
        A :class:`StorageError` with what to do, or a :class:`MemoryLimitError`.
    """
    text, number = " ".join(str(error).split()), _number(error)
    if isinstance(error, MemoryError) or number == errno.ENOMEM:
        return MemoryLimitError(f"{place}: cannot be {verb} (too little memory); end other programs")
    if "already open for" in text:
        remedy = "wait until it ends. If none does, its writer was killed: write the file again, or use h5clear -s"
        return StorageError(f"{place}: another program has this file open for writing; {remedy}")
    if _NO_FILTER.search(text):
        return missing_filter(place)
    if number is None or number in _WRONG_BYTES:
        return None
    if "unable to lock file" in text:
        return _lock_refused(place, number)
    remedy = _REMEDIES.get(number, "check the file, its disk and its permissions")
    return StorageError(f"{place}: cannot be {verb} ({os.strerror(number)}); {remedy}")


def storage_error(error: BaseException, place: object, verb: str = "read") -> IodineKitError:
    """The same for an error that cannot mean wrong bytes: never ``None``."""
    reason = " ".join(str(error).split()) or type(error).__name__
    return refusal(error, place, verb) or StorageError(f"{place}: cannot be {verb} ({reason}); check the file")


@contextmanager
def storage_errors(place: object, verb: str = "read") -> Iterator[None]:
    """Turn an error of the operating system into the one of :func:`storage_error`."""
    try:
        yield
    except (OSError, MemoryError) as error:
        raise storage_error(error, place, verb) from error
    except RuntimeError as error:  # h5py raises it if a file cannot be closed
        if refused := refusal(error, place, verb):
            raise refused from error
        raise


def missing_filter(place: object, name: str = "") -> StorageError:
    """The error for an HDF5 data set that was compressed with a filter that is not installed."""
    which = f"the HDF5 filter {name}, which" if name else "an HDF5 filter that"
    remedy = "pip install 'iodine-kit[blosc]' brings the usual ones; or store the data with gzip"
    return StorageError(f"{place}: its data need {which} is not installed; {remedy}")


def _number(error: BaseException) -> int | None:
    if isinstance(error, OSError) and error.errno:
        return error.errno
    found = _NUMBER.search(str(error))
    return int(found[1]) or None if found else None


def _lock_refused(place: object, number: int) -> StorageError:
    unlocked = "set the environment variable HDF5_USE_FILE_LOCKING=FALSE"
    if number in (errno.EAGAIN, errno.EWOULDBLOCK):
        problem = "is locked: another program has it open for writing; wait until it ends. If none does,"
    else:
        problem = f"cannot be locked ({os.strerror(number)}), as on some network file systems;"
    return StorageError(f"{place}: {problem} {unlocked}")


def most_open_files() -> int:
    """How many files one reader of many may keep open: an eighth of what this process is allowed, at most 512."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return 512 if limit == resource.RLIM_INFINITY else max(4, min(512, limit // 8))


def expand_home(text: str) -> str:
    """A path as text, with the home folder in place of ``~`` or ``~user`` at its beginning.

    Shells do this only at the beginning of a word: not in ``--source=~/pictures``, in variables or in files. ``./~`` is
    a file of this name, and so is ``~name`` if it exists and there is no such user, as in shells.

    Raises:
        ConfigError: if there is no such user, or the home folder is unknown.
    """
    if not text.startswith("~"):
        return text
    try:
        return str(Path(text).expanduser())
    except RuntimeError:
        if os.path.lexists(text):
            return f"./{text}"
    user = text[1:].partition("/")[0]
    reason = f"there is no user '{user}'" if user else "the home folder is unknown: set HOME"
    raise ConfigError(f"{text}: {reason}; write the whole path, or ./{text} for a name that begins with ~")


def to_path(place: str | Path) -> Path:
    """The path that a user wrote; see :func:`expand_home`."""
    path = Path(expand_home(str(place)))
    return Path.cwd() / path if str(path).startswith("~") else path  # pathlib drops the "./" that protects it


def readable(value: Any) -> Any:
    """Text, or the text in lists and mappings, as any file can hold it; other values are unchanged.

    A byte of a file name that is no UTF-8 becomes ``\\xe9``.
    """
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    if isinstance(value, Mapping):
        return {readable(key): readable(one) for key, one in value.items()}
    return [readable(one) for one in value] if isinstance(value, list) else value


class OpenFiles(Generic[T]):
    """The files that a reader has open, by number. Opening one too many closes the one that was used least recently.

    It has no lock: whoever shares it between threads locks until the file is read.
    """

    def __init__(self, open_file: Callable[[int], T], close: Callable[[T], None], most: int | None = None) -> None:
        """``most`` defaults to what the limit of this process allows, see :func:`most_open_files`."""
        self._open_file, self._close = open_file, close
        self._most = most
        self._open: dict[int, T] = {}  # the least recently used first
        self._closed = False

    def __getitem__(self, number: int) -> T:
        """An open file; it may be closed when another one is requested.

        Raises:
            ValueError: after :meth:`close`.
        """
        if self._closed:
            raise ValueError("this reader is closed")
        file = self._open.pop(number, None)
        if file is None:
            while self._open and len(self._open) >= (self._most or most_open_files()):
                self._close(self._open.pop(next(iter(self._open))))
            file = self._open_file(number)
        self._open[number] = file
        return file

    def close(self) -> None:
        """Close all files."""
        self._closed = True
        while self._open:
            self._close(self._open.popitem()[1])


def require_free_space(directory: Path, count: int) -> None:
    """Raise :class:`StorageError` if the disk of ``directory`` has less than ``count`` bytes free.

    Check this before writing HDF5: a file cannot be closed properly once the disk is full.
    """
    free = shutil.disk_usage(directory).free
    if count > free:
        raise StorageError(
            f"{directory}: {byte_size(count)} are needed but only {byte_size(free)} are free; free disk space"
        )


def sync_to_disk(path: Path) -> None:
    """Write a file and its directory entry to the disk, so that they survive a power failure."""
    for place in (path, path.parent):
        descriptor = os.open(place, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # parameters of mallopt(3)


def keep_freed_memory() -> None:
    """Make glibc's malloc keep freed memory for later allocations; do nothing on other systems.

    Every training step allocates the same large tensors. If their memory goes back to the kernel, the kernel has to
    clear its pages in every step, which takes as long as an activation function.
    """
    if not sys.platform.startswith("linux"):
        return
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt") and hasattr(libc, "gnu_get_libc_version"):
        libc.mallopt(_TRIM_THRESHOLD, 2**31 - 1)
        libc.mallopt(_MMAP_MAX, 0)


SPIN_COUNT = "20000"
"""Iterations of a waiting loop, about 0.1 ms, before an idle thread sleeps."""
_CPU_INFO = Path("/proc/cpuinfo")


def shorten_spin_waits() -> None:
    """Make idle OpenMP threads sleep early, unless the environment configures this. Call it before importing torch.

    PyTorch's threads wait for each other after every operation, by default in a loop that runs for milliseconds. This
    saves nothing on an idle machine and takes the core from other programs, so small networks become slow.
    ``OMP_WAIT_POLICY=passive``, which never loops, makes them slow on an idle machine.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)


def usable_cores() -> int:
    """CPU cores that this process may use: a batch system may give it fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def has_bfloat16_matrix_units() -> bool:
    """Whether this CPU has units (AMX) that multiply bfloat16 matrices several times as fast as float32 matrices."""
    return "amx_bf16" in _cpu_flags()


def emulates_bfloat16() -> bool:
    """Whether this is an x86 CPU without bfloat16 instructions, on which bfloat16 is slower than float32."""
    flags = _cpu_flags()
    return bool(flags) and not {"amx_bf16", "avx512_bf16", "avx_ne_convert"} & flags


def _cpu_flags() -> set[str]:
    """The features of an x86 CPU as Linux reports them; empty elsewhere."""
    try:
        with _CPU_INFO.open(encoding="ascii", errors="replace") as lines:
            return set(next(line for line in lines if line.startswith("flags")).split())
    except (OSError, StopIteration):
        return set()
