"""The client: find a Python that has Blender, start it, and request scenes from it."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import weakref
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from iodine_kit.errors import SourceError
from iodine_kit.records import Array
from iodine_kit.system import expand_home, refusal
from iodine_kit.untrusted import NPZ_ERRORS
from iodine_kit.untrusted.npy import PARSING

BPY = "5.0.1"
VARIABLE = "IODINE_KIT_BLENDER"
_PROGRAM = Path(__file__).with_name("render.py")
_PATIENCE = 5  # seconds within which an idle renderer must end after its input is closed


def find_python() -> str:
    """Find the Python that runs Blender: ``$IODINE_KIT_BLENDER`` if it is set, else this one if it has ``bpy``.

    Raises:
        SourceError: if the variable names no program, or if it is not set and this Python has no ``bpy``.
    """
    if named := expand_home(os.environ.get(VARIABLE, "")):
        if shutil.which(named) is None:
            raise SourceError(
                f"{VARIABLE}: {named!r} is not a program: set it to the path of a Python 3.11 that has bpy"
            )
        return named
    if importlib.util.find_spec("bpy") is None:
        raise SourceError(
            "rendering CLEVR scenes needs Blender's module bpy, which needs Python 3.11: with that version, "
            "pip install 'iodine-kit[blender]'; with another, create an environment with python3.11 -m venv blender && "
            f"blender/bin/pip install bpy=={BPY}, and set {VARIABLE}=blender/bin/python"
        )
    return sys.executable


class Renderer:
    """Renders CLEVR scenes in a separate process, which the first scene starts and ``close`` or our exit ends.

    Use it in one thread at a time. A forked process needs its own renderer.

    Attributes:
        blender: version of Blender, "" before the process runs; images differ slightly between versions.
        device: kind of GPU that Blender uses, or ``"cpu"``; "" before the process runs.
    """

    def __init__(self, python: str, program: Path = _PROGRAM) -> None:
        """Store which Python, from :func:`find_python`, runs which program; starts nothing."""
        self.blender = self.device = ""
        self._command = [python, str(program)]
        # PYTHONPATH contains packages for this Python, which another Python must not import.
        self._command[1:1] = [] if python == sys.executable else ["-E"]
        self._process: subprocess.Popen[str] | None = None
        self._stderr_lines: deque[str] = deque(maxlen=20)

    def render(self, seed: int, settings: Mapping[str, Any]) -> dict[str, Array]:
        """Render the scene that ``seed`` ≥ 0 and ``settings`` determine; ``settings.py`` describes the settings.

        Returns:
            ``image u8[H, W, 3]``; ``mask u8[H, W]``, where 0 is the background and i the i-th object; and arrays with
            one row per entity (row 0 is the background, the last rows are padding): ``x y z rotation visibility
            f32[N]``, ``pixel_coords f32[N, 3]`` (column and row in the 320×240 view, depth in metres), and the
            published ids ``size material shape color u8[N]``. N is 11, or more if ``max_objects`` > 10.

        Raises:
            SourceError: if Blender cannot be started, refuses the settings, or crashes. The next call starts it again.
        """
        try:
            process = self._process or self._start()
            with tempfile.TemporaryDirectory(prefix="iodine-kit-") as folder:
                out = Path(folder) / "scene.npz"
                self._ask(process, {"seed": seed, "out": str(out), "settings": dict(settings)})
                return _load(out)
        except _Refused as refusal:
            raise SourceError(f"Blender cannot render the scene: {refusal}") from None
        except BaseException:
            if self._process is not None:
                self._process.kill()  # an answer to the abandoned request may still be on its way
            self.close()
            raise

    def versions(self) -> dict[str, str]:
        """Version of Blender and the device that it renders on; starts the process if necessary."""
        if self._process is None:
            self._start()
        return {"blender": self.blender, "device": self.device}

    def close(self) -> None:
        """End the process; the next scene starts another."""
        process, self._process = self._process, None
        if process is not None:
            _stop(process)

    def __enter__(self) -> Renderer:
        """Return itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close."""
        self.close()

    def _start(self) -> subprocess.Popen[str]:
        self._stderr_lines.clear()
        pipe = subprocess.PIPE
        try:
            # In a separate session, so that only this process reacts to Ctrl-C in the terminal.
            process = subprocess.Popen(
                self._command,
                stdin=pipe,
                stdout=pipe,
                stderr=pipe,
                start_new_session=True,
                encoding="utf-8",
                errors="replace",
            )
        except OSError as error:
            raise SourceError(
                f"cannot start {self._command[0]}: {error.strerror}; it must be a Python with bpy"
            ) from error
        self._process = process
        weakref.finalize(self, _stop, process)
        self._listener = threading.Thread(target=self._stderr_lines.extend, args=(process.stderr,), daemon=True)
        self._listener.start()
        try:
            ready = self._answer(process)
        except _Refused as refusal:
            hint = f"install bpy=={BPY} in it (Python 3.11), or select another Python with {VARIABLE}"
            raise SourceError(f"{self._command[0]} cannot run Blender ({refusal}): {hint}") from None
        self.blender, self.device = str(ready.get("blender", "")), str(ready.get("device", ""))
        return process

    def _ask(self, process: subprocess.Popen[str], request: dict[str, Any]) -> dict[str, Any]:
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has crashed; reading its answer gives the better message
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
        return self._answer(process)

    def _answer(self, process: subprocess.Popen[str]) -> dict[str, Any]:
        """Read one line of JSON; raises :class:`_Refused` for an answer with an ``error``."""
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line.endswith("\n"):
            raise SourceError(f"Blender's process {self._exit_text(process)}")
        try:
            answer = json.loads(line)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise SourceError(f"Blender's process sent an unexpected line: {line.strip()[:200]!r}")
        if "error" in answer:
            raise _Refused(answer["error"])
        return answer

    def _exit_text(self, process: subprocess.Popen[str]) -> str:
        """How a process ended, and the last line of its error output."""
        try:
            status = process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            return "closed its output"
        self._listener.join(1)
        lines = [line.strip() for line in self._stderr_lines if line.strip()]
        end = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
        return f"({self._command[0]}) {end}: {lines[-1] if lines else 'no message'}"


class _Refused(Exception):  # noqa: N818
    """The program answered that it cannot fulfil the request; it keeps running."""


def _load(path: Path) -> dict[str, Array]:
    try:
        with PARSING, np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except FileNotFoundError as error:
        raise SourceError(f"Blender's process wrote no readable scene: {error}") from error
    except NPZ_ERRORS as error:
        problem = f"Blender's process wrote no readable scene: {error}"
        raise refusal(error, path) or SourceError(problem) from error


def _stop(process: subprocess.Popen[str]) -> None:
    """Close the input of a process, which ends it; kill it if it hangs."""
    assert process.stdin is not None
    assert process.stdout is not None
    with contextlib.suppress(OSError):
        process.stdin.close()
    try:
        process.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()
