"""The examples in the docstrings of the Python interface run, and print what they say."""

from __future__ import annotations

import doctest
from importlib import import_module
from pathlib import Path

import pytest

import iodine_kit

MODULES = ["iodine_kit", *(f"iodine_kit.api.{path.stem}" for path in Path(iodine_kit.__file__).parent.glob("api/*.py"))]


@pytest.mark.parametrize("name", [name for name in MODULES if not name.endswith("__init__")])
def test_examples_print_what_they_say(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("IODINE_KIT_STORE", raising=False)
    results = doctest.testmod(import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert results.failed == 0


def test_every_public_function_has_an_example() -> None:
    functions = [getattr(iodine_kit, name) for name in iodine_kit.__all__ if name.islower()]
    assert [function.__name__ for function in functions if ">>>" not in (function.__doc__ or "")] == []
