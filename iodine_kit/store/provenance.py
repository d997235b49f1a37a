"""Where an artifact came from: times, command, versions of code and packages, machine."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import iodine_kit
from iodine_kit.addresses import this_command

PACKAGES = ("torch", "numpy", "h5py", "webdataset", "scikit-learn", "pandas")


def provenance(started: datetime, purpose: str = "") -> dict[str, Any]:
    """Facts of this process in JSON types: times, command, versions, commit of the code, machine, and ``purpose``.

    The command is recorded without the secrets of addresses: manifests are pushed to others.
    """
    finished = datetime.now(UTC)
    return {
        **({"purpose": purpose} if purpose else {}),
        "started": started.isoformat(timespec="seconds"),
        "finished": finished.isoformat(timespec="seconds"),
        "seconds": round((finished - started).total_seconds(), 3),
        "command": this_command(),
        "iodine_kit": iodine_kit.__version__,
        "git": _git(Path(__file__).parent),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "platform": platform.platform(terse=True),
        "cpus": os.cpu_count(),
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _git(folder: Path) -> dict[str, Any] | None:
    """Commit of the checkout that the code runs from, and whether files were changed; ``None`` outside a checkout."""
    try:
        commit = _run_git(folder, "rev-parse", "HEAD")
        return {"commit": commit, "dirty": bool(_run_git(folder, "status", "--porcelain", "--", str(folder.parent)))}
    except (OSError, subprocess.SubprocessError):
        return None


def _run_git(folder: Path, *arguments: str) -> str:
    # An installed package can be inside an unrelated checkout, in which this file is not tracked.
    for command in (["ls-files", "--error-unmatch", __file__], list(arguments)):
        done = subprocess.run(["git", *command], cwd=folder, check=True, capture_output=True, timeout=10)
    return done.stdout.decode("utf-8", "replace").strip()
