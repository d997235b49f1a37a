"""Whether a worker has the code of whoever gives the order: another version may make other bytes without a word."""

from __future__ import annotations

import hashlib
import platform
import socket
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import iodine_kit
from iodine_kit.errors import ConfigError
from iodine_kit.registry import third_party

PACKAGES = ("h5py", "numpy", "pandas", "pillow", "scikit-learn", "scipy", "torch", "webdataset")
"""Packages whose version may change the bytes of a unit."""
_PYTHON, _KIT = "Python", "iodine-kit"
_DIGITS = 8


def versions() -> dict[str, str]:
    """The version of Python, of this package, of the packages that shape units, and of all plug-ins in use, by name.

    What is developed may change without its version, so the versions of this package and of plug-ins have a hash of
    the code.
    """
    return {**_installed(), **{name: _code(name) for name in sorted(third_party)}}


def check_versions(expected: Mapping[str, str]) -> str:
    """Compare the versions of this process, a worker's, with those of whoever gave the order.

    Builds of one version for other devices, such as ``2.6.0+cpu``, are accepted, because clusters often have GPUs that
    the first machine lacks.

    Returns:
        a sentence about other builds; empty if all are the same.

    Raises:
        ConfigError: naming each package that has another version, and both versions.
    """
    own = {**_installed(), **{name: _code(name) for name in expected if name not in _installed()}}
    differing = [name for name in expected if own[name] and own[name] != expected[name]]
    versions = [name for name in differing if _release(own[name]) != _release(expected[name])]
    shown = versions or differing
    here, there = _shown(shown, own), _shown(shown, expected)
    if versions:
        raise ConfigError(
            f"a worker on {socket.gethostname()} has {here}, but this process has {there}: install the same version "
            "on all machines, and start the workers again"
        )
    if differing:
        return (
            f"note: a worker on {socket.gethostname()} has {here}, and this process {there}: another build of the same "
            "version may round in another way"
        )
    return ""


@cache
def _installed() -> dict[str, str]:
    python = ".".join(platform.python_version_tuple()[:2])
    return {_PYTHON: python, _KIT: f"{iodine_kit.__version__} {_code('iodine_kit')}", **dict(map(_named, PACKAGES))}


def _named(package: str) -> tuple[str, str]:
    try:
        return package, metadata.version(package)
    except metadata.PackageNotFoundError:
        return package, "(missing)"


@cache
def _code(package: str) -> str:
    """A hash of the source of a package or module; empty if this process cannot find it before it needs it."""
    try:
        spec = find_spec(package)
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        return ""
    digest = hashlib.sha256()
    if spec.submodule_search_locations is None:
        digest.update(Path(spec.origin or "").read_bytes() if spec.has_location else b"")
    for folder in map(Path, spec.submodule_search_locations or ()):
        for path in sorted(folder.rglob("*.py")):
            digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return f"(code {digest.hexdigest()[:_DIGITS]})"


def _release(version: str) -> str:
    """A version without the label of a build."""
    return version.partition("+")[0]


def _shown(names: Iterable[str], versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {versions[name]}" for name in names)
