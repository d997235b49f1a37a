"""The side of the package: finds a Python that has Blender, starts it, and asks it for scenes."""

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
import zipfile
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from iodine_kit.errors import SourceError
from iodine_kit.records import Array

BPY = "5.0.1"
VARIABLE = "IODINE_KIT_BLENDER"
_PROGRAM = Path(__file__).with_name("render.py")
_PATIENCE = 5  # seconds an idle renderer has to end once its input is closed


def find_python() -> str:
    """Choose the Python that runs Blender: ``$IODINE_KIT_BLENDER`` if it is set, else our own if it has ``bpy``.

    Raises:
        SourceError: if the one named does not exist, or none is named and our own has no ``bpy``.
    """
    if named := os.environ.get(VARIABLE, ""):
        if shutil.which(named) is None:
            raise SourceError(f"{VARIABLE}: {named!r} is not a program: give the path of a Python 3.11 that has bpy")
        return named
    if importlib.util.find_spec("bpy") is None:
        raise SourceError(
            "drawing CLEVR scenes needs Blender's module bpy, which needs Python 3.11: there, pip install "
            "'iodine-kit[blender]'; elsewhere, make an environment for it with python3.11 -m venv blender && "
            f"blender/bin/pip install bpy=={BPY}, and set {VARIABLE}=blender/bin/python"
        )
    return sys.executable


class Renderer:
    """Draws CLEVR scenes in a process of its own, started by the first scene and ended by ``close`` or our exit.

    Not for several threads at once. A forked process needs a renderer of its own.

    Attributes:
        blender: Blender's version, known once the process runs; pictures differ a little from version to version.
        device: the kind of GPU that Blender found, or ``"cpu"``, known once the process runs.
    """

    def __init__(self, python: str, program: Path = _PROGRAM) -> None:
        """Remember which Python, from :func:`find_python`, runs which program."""
        self.blender = self.device = ""
        self._command = [python, str(program)]
        # Our PYTHONPATH holds packages for our Python, and would put them before those of another.
        self._command[1:1] = [] if python == sys.executable else ["-E"]
        self._process: subprocess.Popen[str] | None = None
        self._complaints: deque[str] = deque(maxlen=20)

    def render(self, seed: int, settings: Mapping[str, Any]) -> dict[str, Array]:
        """Draw the scene that a seed (0 or more) and settings decide; see ``settings.py`` for what these may be.

        Returns:
            ``image u8[H, W, 3]``; ``mask u8[H, W]``, 0 background, i the i-th object; and per entity, the
            background's row 0 first and padding last, ``x y z rotation visibility f32[N]``, ``pixel_coords
            f32[N, 3]`` (column and row in the 320×240 view, depth in metres) and the published ids ``size material
            shape color u8[N]``, with N = 11, or more if ``max_objects`` is over 10.

        Raises:
            SourceError: if Blender cannot be started, refuses the settings, or dies. The next call starts
                it anew if need be.
        """
        try:
            process = self._process or self._start()
            with tempfile.TemporaryDirectory(prefix="iodine-kit-") as folder:
                out = Path(folder) / "scene.npz"
                self._ask(process, {"seed": seed, "out": str(out), "settings": dict(settings)})
                return _load(out)
        except _Refused as refusal:
            raise SourceError(f"Blender could not draw the scene: {refusal}") from None
        except BaseException:
            if self._process is not None:
                self._process.kill()  # whatever it was, an answer to nobody may be under way
            self.close()
            raise

    def versions(self) -> dict[str, str]:
        """Blender's version and the device it draws on; starts the process if need be."""
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
        self._complaints.clear()
        pipe = subprocess.PIPE
        try:
            # In a session of its own: Ctrl-C at our terminal is for us to act on.
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
            raise SourceError(f"cannot start {self._command[0]}: {error.strerror}: is it a Python with bpy?") from error
        self._process = process
        weakref.finalize(self, _stop, process)
        self._listener = threading.Thread(target=self._complaints.extend, args=(process.stderr,), daemon=True)
        self._listener.start()
        try:
            ready = self._answer(process)
        except _Refused as refusal:
            hint = f"install bpy=={BPY} for it (Python 3.11), or choose another by {VARIABLE}"
            raise SourceError(f"{self._command[0]} cannot run Blender ({refusal}): {hint}") from None
        self.blender, self.device = str(ready.get("blender", "")), str(ready.get("device", ""))
        return process

    def _ask(self, process: subprocess.Popen[str], request: dict[str, Any]) -> dict[str, Any]:
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has died: the answer that does not come tells more
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
        return self._answer(process)

    def _answer(self, process: subprocess.Popen[str]) -> dict[str, Any]:
        """Read one line of JSON; an answer that says ``error`` raises :class:`_Refused`."""
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line.endswith("\n"):
            raise SourceError(f"Blender's process {self._fate(process)}")
        try:
            answer = json.loads(line)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise SourceError(f"Blender's process does not speak as expected: {line.strip()[:200]!r}")
        if "error" in answer:
            raise _Refused(answer["error"])
        return answer

    def _fate(self, process: subprocess.Popen[str]) -> str:
        """How a process ended, and its last words."""
        try:
            status = process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            return "closed its output"
        self._listener.join(1)
        words = [line.strip() for line in self._complaints if line.strip()]
        end = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
        return f"({self._command[0]}) {end}: {words[-1] if words else 'without a word'}"


class _Refused(Exception):  # noqa: N818
    """The program answered that it cannot; it is well otherwise."""


def _load(path: Path) -> dict[str, Array]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise SourceError(f"Blender's process left no readable scene: {error}") from error


def _stop(process: subprocess.Popen[str]) -> None:
    """End a process, which does so by itself when its input closes, unless it hangs."""
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
