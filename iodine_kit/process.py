"""What surrounds the process: signals and standard streams. Neither ends work, nor changes the status of finished work.

This module imports no torch.
"""

from __future__ import annotations

import codecs
import errno
import io
import json
import os
import re
import select
import signal
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any, TextIO

from iodine_kit.errors import StorageError

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
REPEATS = 10.0
"""Seconds after a request in which SIGTERM and SIGHUP only repeat it: a shell and its terminal both send SIGHUP."""
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Control characters, and those that change the direction of writing."""
_requested: float | None = None


def may_be_handled(number: signal.Signals) -> bool:
    """Whether this thread may set a handler. Never for an ignored signal: ``nohup`` and ``&`` ask to survive it."""
    in_main_thread = threading.current_thread() is threading.main_thread()
    return in_main_thread and signal.getsignal(number) not in (signal.SIG_IGN, None)


class StopRequest:
    """Context in which SIGTERM, SIGHUP and the first SIGINT only set ``signalled``; a second SIGINT interrupts at once.

    SIGTERM may arrive more than once, from a scheduler and from torchrun, also after Ctrl-C; it never interrupts. A
    signal that is ignored when the context begins stays ignored. The time limit of a run is a request, too.
    """

    def __init__(self, max_seconds: float) -> None:
        self._deadline = time.monotonic() + max_seconds if max_seconds else None
        self._signal: str | None = None
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> StopRequest:
        for number in filter(may_be_handled, STOP_SIGNALS):
            self._previous[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *error: object) -> None:
        self._restore(*STOP_SIGNALS)

    @property
    def signalled(self) -> bool:
        """Whether a signal asked the process to stop."""
        return self._signal is not None

    @property
    def out_of_time(self) -> bool:
        """Whether the time limit has passed."""
        return self._deadline is not None and time.monotonic() >= self._deadline

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        global _requested
        self._signal, _requested = signal.Signals(number).name, time.monotonic()
        if number == signal.SIGINT:
            self._restore(signal.SIGINT)

    def _restore(self, *numbers: signal.Signals) -> None:
        for number in numbers:
            if number in self._previous:
                signal.signal(number, self._previous.pop(number))


def interrupt_on_signals() -> None:
    """Make SIGTERM and SIGHUP interrupt this process as Ctrl-C does, unless they are ignored or handled already."""
    for number in STOP_SIGNALS:
        if may_be_handled(number) and signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    global _requested
    now = time.monotonic()
    if _requested is None or now - _requested > REPEATS:
        _requested = now  # not at repetitions: however often they arrive, a later one interrupts work that hangs
        raise KeyboardInterrupt


def ignore_signals() -> None:
    """Ignore all further requests to stop: the process is about to end, and only its last sentence is left to print."""
    for number in filter(may_be_handled, STOP_SIGNALS):
        signal.signal(number, signal.SIG_IGN)


_GONE = {errno.EPIPE, errno.EBADF, errno.ECONNRESET, errno.ENXIO}


class Outlet(io.FileIO):
    """A descriptor of a standard stream that drops what nobody can receive any more.

    Whoever reads a pipe may end early, and a terminal may be closed. What cannot be written to standard error is always
    dropped. A disk that has no space for standard output is a :class:`StorageError`, once.
    """

    def __init__(self, descriptor: int, *, required: bool) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self._required = required
        self._gone = _GONE | ({errno.EIO} if self.isatty() else set())

    def write(self, data: Any) -> int:
        """Write all of ``data`` or drop it; a stream that does not block is waited for."""
        view = memoryview(data).cast("B")
        done = 0
        while done < len(view):
            try:
                count = super().write(view[done:])
            except OSError as error:
                if not self._required or error.errno in self._gone:
                    return len(view)
                self._required = False
                raise StorageError(
                    f"standard output: {error.strerror}: the result was not printed; 'iodine-kit list' shows the "
                    "artifacts"
                ) from None
            if count is None:
                select.select([], [self], [])
            done += count or 0
        return len(view)


def use_safe_streams() -> None:
    """Replace standard output and standard error by streams of :func:`safe_stream`; open closed descriptors."""
    _open_closed_descriptors()
    sys.stdout = safe_stream(sys.stdout, 1)
    sys.stderr = safe_stream(sys.stderr, 2)


def safe_stream(stream: TextIO | None, descriptor: int = 2) -> TextIO:
    """The same stream, but without errors because of a lost reader or terminal, or of a character it cannot show.

    Python ignores SIGPIPE, so that a write into a pipe without a reader raises. The work goes on without the reader.

    Args:
        stream: ``None`` for a descriptor that was closed when Python started.
        descriptor: 1 for standard output, where a full disk is an error; 2 for standard error.
    """
    try:
        raw = Outlet(stream.fileno() if stream else descriptor, required=descriptor == 1)
    except (AttributeError, OSError, ValueError):  # not a file, as in tests and notebooks
        return stream or io.StringIO()
    encoding, errors = "utf-8", "strict"
    if stream:
        stream.flush()
        encoding, errors = stream.encoding or encoding, stream.errors or errors
    if errors in ("strict", "surrogateescape", "backslashreplace"):  # others are the user's choice
        errors = _KEEP if descriptor == 1 else _SHOW
    buffered = io.BufferedWriter(raw)
    return io.TextIOWrapper(buffered, encoding, errors, line_buffering=raw.isatty() or descriptor == 2)


def visible(text: str) -> str:
    """A text without commands to a terminal: control characters, but for tab and newline, as ``\\x1b`` or similar.

    Names and manifests of others may contain any character.
    """
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def print_text(text: str, end: str = "\n") -> None:
    """Print to standard output; control characters are shown as ``\\x1b`` or similar."""
    sys.stdout.write(visible(text) + end)


def print_path(path: Path) -> None:
    """Print a path to standard output; for a script always so that it can be used, whatever the stream's encoding."""
    text, out = str(path), sys.stdout
    try:
        text.encode(getattr(out, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        if not out.isatty() and hasattr(out, "buffer"):
            out.flush()
            out.buffer.write(os.fsencode(text + "\n"))
            return
    out.write(f"{visible(text) if out.isatty() else text}\n")


def print_json(value: Any) -> None:
    """Print JSON to standard output; escaped if the stream is not UTF-8, or a file name is not."""
    text = json.dumps(value, ensure_ascii=False)
    encoding = str(getattr(sys.stdout, "encoding", None) or "utf-8")
    is_shown = encoding.lower().startswith("utf") and not re.search("[\ud800-\udfff]", text)
    is_shown = is_shown and not _CONTROL.search(text)
    print_text(text if is_shown else json.dumps(value))


def _open_closed_descriptors() -> None:
    """Open the null device in place of closed standard streams: otherwise the next file would take their place."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)  # the lowest free one: in general this very descriptor
            if opened == descriptor:
                os.set_inheritable(descriptor, True)
            else:
                os.dup2(opened, descriptor)
                os.close(opened)


_RAISED = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-", strict=True))
_PLAIN = {
    "–": "-", "−": "-", "—": "-", "×": "x", "±": "+/-", "·": "*", "…": "...", "→": "->", "←": "<-", "↑": "^", "↓": "v",
    "≤": "<=", "≥": ">=", "≈": "~", "≠": "!=", "∞": "inf", "√": "sqrt", "‖": "||", "β": "beta", "μ": "mu", "σ": "sigma",
    "’": "'", "‘": "'", "“": '"', "”": '"',
}  # fmt: skip
"""Characters of our own texts → the same in ASCII, for streams in another encoding."""


def _plain(character: str, before: str) -> str:
    """A character in ASCII; one of an unknown name as an escape, such as ``\\xe9``."""
    code = ord(character)
    if character in _RAISED:
        return ("" if before in _RAISED else "^") + _RAISED[character]
    if 0x2500 <= code < 0x2580:
        return "-" if character in "─━═╌╍╴╶╸╺" else "|" if character in "│┃║╎╏╵╷╹╻" else "+"
    if 0x2580 <= code < 0x25A0:
        return "#"
    if 0xDC80 <= code < 0xDD00:  # a byte of a file name that is no UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return _PLAIN.get(character) or character.encode("ascii", "backslashreplace").decode()


def _show(error: UnicodeError) -> tuple[str | bytes, int]:
    """Handler of errors: a character that the encoding lacks is shown in ASCII."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text, start = error.object, error.start
    return _plain(text[start], text[start - 1 : start]), start + 1


def _keep(error: UnicodeError) -> tuple[str | bytes, int]:
    """As :func:`_show`, but bytes of a file name that is no UTF-8 stay as they are, so that a script can use it."""
    if isinstance(error, UnicodeEncodeError) and not error.encoding.startswith(("utf-16", "utf-32")):
        code = ord(error.object[error.start])
        if 0xDC80 <= code < 0xDD00:
            return bytes([code - 0xDC00]), error.start + 1
    return _show(error)


_SHOW, _KEEP = "iodine_kit.show", "iodine_kit.keep"
codecs.register_error(_SHOW, _show)
codecs.register_error(_KEEP, _keep)
