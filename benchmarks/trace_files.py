"""How many files and functions of the package run before a command reaches what it is about.

``train`` is about the first step of the optimiser, ``eval --metric ari`` about the first adjusted Rand index. A reader
who follows such a command has to open every file that this script counts. Functions are traced as they are called; what
runs because a module is imported (its body, the bodies of classes, and whatever they call) is not counted.

    python benchmarks/trace_files.py adam   train --dataset tetrominoes-… --set train.steps=1
    python benchmarks/trace_files.py ari    eval --metric ari --overwrite

Everything after the first argument is a command line of ``iodine-kit``. The command runs to its end, so give it a store
of its own, small data, and ``--overwrite`` if its result is there already.
"""

from __future__ import annotations

import argparse
import inspect
import json
import sys
from collections import Counter
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import iodine_kit

PACKAGE = Path(iodine_kit.__file__).parent
_PREFIX = str(PACKAGE)
TARGETS = {"adam": ("torch/optim/adam.py", "step"), "ari": ("metrics/_contingency.py", "adjusted_rand_index")}


class Trace:
    """Collects the package's functions that are called until the target is.

    Attributes:
        functions: pairs of a file, relative to the package, and a qualified name.
        stack: the package's files on the call stack when the target is called, the outermost first.
    """

    def __init__(self, file: str, function: str) -> None:
        """Wait for ``function`` in a file whose path ends in ``file``."""
        self.file, self.function = file, function
        self.functions: set[tuple[str, str]] = set()
        self.stack: list[str] = []
        self.reached = False

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        """A profile function, see :func:`sys.setprofile`."""
        if self.reached or event != "call":
            return
        code = frame.f_code
        place = _place(code)
        if place and not _importing(frame):
            self.functions.add((place, code.co_qualname))
        if code.co_name == self.function and Path(code.co_filename).as_posix().endswith(self.file):
            self.reached, self.stack = True, _stack(frame)
            sys.setprofile(None)

    @property
    def files(self) -> dict[str, int]:
        """Functions by file, sorted by name."""
        return dict(sorted(Counter(file for file, _ in self.functions).items()))


def _place(code: CodeType) -> str:
    """The file of a function of the package; "" for other code, and for bodies of modules and classes."""
    if not code.co_filename.startswith(_PREFIX):  # nearly all calls, of torch's imports
        return ""
    path = Path(code.co_filename)
    is_function = code.co_flags & inspect.CO_NEWLOCALS and code.co_flags & inspect.CO_OPTIMIZED
    return path.relative_to(PACKAGE).as_posix() if is_function else ""


def _importing(frame: FrameType | None) -> bool:
    """Whether a module of the package is being imported."""
    while frame is not None:
        if frame.f_code.co_name == "<module>" and frame.f_code.co_filename.startswith(_PREFIX):
            return True
        frame = frame.f_back
    return False


def _stack(frame: FrameType | None) -> list[str]:
    files = []
    while frame is not None:
        files.append(_place(frame.f_code))
        frame = frame.f_back
    return [file for file in reversed(files) if file]


def trace(target: str, command: list[str]) -> Trace:
    """Run a command line of ``iodine-kit`` and trace it until ``target``, a key of :data:`TARGETS`."""
    from iodine_kit.cli import main

    result = Trace(*TARGETS[target])
    sys.argv = ["iodine-kit", *command]
    sys.setprofile(result)
    try:
        main()
    except SystemExit as end:
        if end.code:
            raise
    finally:
        sys.setprofile(None)
    return result


def main() -> None:
    """Print the numbers as JSON, and the files to standard error."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("command", nargs=argparse.REMAINDER, help="a command line of iodine-kit")
    given = parser.parse_args()
    found = trace(given.target, given.command)
    if not found.reached:
        sys.exit(f"the command ended before {TARGETS[given.target][1]} was called")
    for file, functions in found.files.items():
        print(f"{functions:4}  {file}", file=sys.stderr)
    print(json.dumps({
        "target": given.target, "files": len(found.files), "functions": len(found.functions),
        "stack_frames": len(found.stack), "stack_files": len(set(found.stack)),
    }))  # fmt: skip


if __name__ == "__main__":
    main()
