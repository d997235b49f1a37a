# SPDX-License-Identifier: Apache-2.0
# Part of a program that runs inside Blender's Python (GPL-3.0-or-later); Apache-2.0 is compatible with that licence.
"""Render CLEVR scenes on request: lines of JSON in, lines of JSON out. Run it with a Python that has ``bpy``.

First it prints ``{"ready": true, "blender": VERSION, "device": DEVICE}``, where the device is ``cpu`` or a kind of GPU,
or ``{"error": REASON}``. Then it answers each ``{"seed": INT, "out": PATH, "settings": {...}}`` with ``{"done": PATH}``
or ``{"error": REASON}``, until its input ends. It writes an ``.npz`` file to ``PATH``, described in ``client.py``.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    """Answer requests until the input ends."""
    # Blender and its libraries print to descriptor 1, so the answers use a copy of it.
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the client ends this process by closing the input

        def say(answer: dict[str, Any]) -> None:
            answers.write(json.dumps(answer) + "\n")
            answers.flush()

        try:
            import bpy  # type: ignore[import-not-found]
            from scene import Studio  # type: ignore[import-not-found]

            studio = Studio()
        except Exception as error:
            say({"error": f"{type(error).__name__}: {error}"})
            return
        say({"ready": True, "blender": bpy.app.version_string, "device": studio.gpu or "cpu"})
        for line in sys.stdin:
            say(_answer(studio, line))


def _answer(studio: Any, line: str) -> dict[str, str]:
    try:
        request = json.loads(line)
        draw(studio, request["seed"], Path(request["out"]), request["settings"])
        return {"done": request["out"]}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}


def draw(studio: Any, seed: int, out: Path, values: dict[str, Any]) -> None:
    """Sample and render one scene, and write it to an ``.npz`` file atomically."""
    import numpy as np
    from placement import factors, sample  # type: ignore[import-not-found]
    from settings import parse  # type: ignore[import-not-found]

    settings = parse(values)
    layout = sample(seed, settings)
    image, mask = studio.draw(seed, layout, settings)
    partial = out.with_name(out.name + ".partial")
    with partial.open("wb") as file:
        np.savez(file, image=image, mask=mask, **factors(layout, max(10, settings.max_objects) + 1))
    partial.replace(out)


if __name__ == "__main__":
    main()
