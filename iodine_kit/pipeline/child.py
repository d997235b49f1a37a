"""One process of the command line that makes some stages of a matrix, as the process that starts it sees it.

The child gets its order as a line of JSON on standard input, and never the pipeline file: a file that is edited during
a long matrix must not change members that have not started. Standard input then stays open: its end means that the
parent was killed. The child is in a session of its own, so that Ctrl-C reaches only the parent, which asks it to stop.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from iodine_kit.config import Values
from iodine_kit.errors import INTERRUPTED, IodineKitError, RankLostError
from iodine_kit.pipeline import file

_BOOTSTRAP = """
import json, sys
order = json.loads(sys.stdin.buffer.readline())
sys.path[:] = order["path"]
from iodine_kit.pipeline.child import receive
receive(order)
from iodine_kit.cli import main
main()
"""
_STATUSES = {kind.exit_status: kind for kind in IodineKitError.__subclasses__()}


class Child:
    """A running process of the command line.

    Args:
        arguments: of the command ``iodine-kit``; with ``--json``.
        place: the pipeline file as it is named in ``arguments``.
        tables: its tables.
        environment: variables to set beside those of this process.
        on_line: called in a thread with each line of standard error, and with ``None`` after the last one.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        place: str,
        tables: Mapping[str, Values],
        environment: Mapping[str, str],
        on_line: Callable[[str | None], None],
    ) -> None:
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - wait() closes it
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _BOOTSTRAP],
            stdin=subprocess.PIPE,
            stdout=self._output,
            stderr=subprocess.PIPE,
            env={**os.environ, **environment},
            start_new_session=True,
        )
        order = {"path": sys.path, "arguments": list(arguments), "place": place, "tables": tables}
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(order, default=str).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it ended already: its status says why
        self._last = ""
        self._on_line = on_line
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Send a signal. After SIGTERM the process saves its state, so that the work can resume, and ends."""
        self._process.send_signal(number)

    def wait(self) -> dict[str, IodineKitError]:
        """Wait until the process ends.

        Returns:
            the error of each member that failed, by the member's name; by "" for all of its members.
        """
        status = self._process.wait()
        self._reader.join()
        assert self._process.stdin is not None
        self._process.stdin.close()
        with self._output as output:
            output.seek(0)
            printed = output.read()
        if status == 0:
            return {}
        try:
            members = [one for one in json.loads(printed)["members"] if "error" in one]
        except (ValueError, KeyError):
            members = []
        failed = {one["name"]: _error(one["exit_status"], one["error"]) for one in members}
        return failed or {"": self._lost(status)}

    def _lost(self, status: int) -> IodineKitError:
        """Why the process ended without a result: a signal, or the last line that it printed."""
        if status < 0 or status == INTERRUPTED:
            name = "a signal" if status > 0 else signal.Signals(-status).name
            return RankLostError(f"its process was ended by {name}; repeat the command to resume")
        return _error(status, self._last.removeprefix("error: ") or f"its process ended with exit status {status}")

    def _read(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as stream:
            for line in stream:
                text = line.decode("utf-8", "replace").rstrip()
                self._last = text or self._last
                self._on_line(text)
        self._on_line(None)


def receive(order: Mapping[str, Any]) -> None:
    """In the child: prepare for the command line to run with the arguments of the order."""
    threading.Thread(target=_stop_with_parent, daemon=True).start()
    file.snapshots[order["place"]] = order["tables"]
    sys.argv = ["iodine-kit", *order["arguments"]]


def _stop_with_parent() -> None:
    """Ask this process to stop when standard input ends."""
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def _error(status: int, text: str) -> IodineKitError:
    return _STATUSES.get(status, IodineKitError)(text)
