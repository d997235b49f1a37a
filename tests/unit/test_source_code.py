"""Which files an artifact depends on, and which changes of them count."""

from __future__ import annotations

import importlib
import platform
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grimp
import pytest

from iodine_kit.source_code import AROUND, FAMILIES, PACKAGE, UNUSUAL, USED_AS_A_WHOLE, changed_files, code_of

ROOT = Path(importlib.import_module(PACKAGE).__file__ or "").parent
BLOCKS = """
from my_lab import (
    shapes,  # all of them
    colours as painted,
)
from .parts.bricks import SIZE
import numpy

def area(side):
    return SIZE * side
"""


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The package of a plug-in, ``my_lab``."""
    folder = tmp_path / "my_lab"
    files = {"__init__": "", "blocks": BLOCKS, "shapes": "", "colours": "RED = 1", "parts/__init__": "", "unused": ""}
    for name, text in {**files, "parts/bricks": "from .. import colours\nSIZE = 3"}.items():
        (folder / f"{name}.py").parent.mkdir(exist_ok=True)
        (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.import_module("my_lab")
    yield folder
    sys.modules.pop("my_lab")


def made() -> dict[str, Any]:
    code = code_of(f"{PACKAGE}.stages.stats", ["dataset/my_lab.blocks"])
    return {"code": code, "python": platform.python_version()}


def changed(recorded: dict[str, Any]) -> list[str]:
    return changed_files(recorded, f"{PACKAGE}.stages.stats", ["dataset/my_lab.blocks"])


def test_imports_of_the_package_of_a_plug_in_are_followed_and_no_others(lab: Path) -> None:
    names = [name for name in made()["code"]["files"] if not name.startswith(PACKAGE)]
    assert names == [
        "my_lab",
        "my_lab.blocks",
        "my_lab.colours",
        "my_lab.parts",
        "my_lab.parts.bricks",
        "my_lab.shapes",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "# a comment\n" + BLOCKS,
        '"""What it is."""\n' + BLOCKS,
        BLOCKS.replace("    return", '    """What it does."""\n    return'),
        BLOCKS.replace("SIZE * side", "(\n        SIZE * side\n    )"),
    ],
)
def test_comments_docstrings_and_formatting_do_not_count(lab: Path, text: str) -> None:
    before = made()
    (lab / "blocks.py").write_text(text)
    assert made()["code"]["sha256"] != before["code"]["sha256"]
    assert changed(before) == []


@pytest.mark.parametrize(
    ("file", "text", "differing"),
    [
        ("blocks", BLOCKS.replace("SIZE * side", "SIZE + side"), ["my_lab.blocks"]),
        ("blocks", BLOCKS + "from my_lab import unused\n", ["my_lab.blocks", "my_lab.unused"]),
        ("colours", "RED = 2", ["my_lab.colours"]),
        ("parts/bricks", "SIZE = 3", ["my_lab.parts.bricks"]),
        ("unused", "X = 1", []),
    ],
)
def test_other_changes_of_what_is_imported_count(lab: Path, file: str, text: str, differing: list[str]) -> None:
    before = made()
    (lab / f"{file}.py").write_text(text)
    assert changed(before) == differing


def test_nothing_is_known_of_artifacts_without_hashes_or_of_another_python(lab: Path) -> None:
    before = made()
    (lab / "colours.py").write_text("RED = 2")
    assert changed({**before, "python": "3.10.1"}) == changed({"python": before["python"]}) == changed({}) == []


@pytest.mark.parametrize("files", [5, None, [1], "blocks", [["my_lab.blocks", "0"]]])
def test_nothing_is_known_of_hashes_that_are_no_table(lab: Path, files: Any) -> None:
    assert changed({**made(), "code": {"sha256": "0", "files": files}}) == []


def test_names_of_a_manifest_from_elsewhere_cannot_open_other_files(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = made()
    names = [
        "x//dev/zero",
        "x/../../../../etc/passwd",
        "x/..",
        "x/gone.html",
        "x/",
        "a" * 999,
        "my_lab.\0",
        "my_lab./x",
    ]
    names += ["my_lab." + "é" * 200, "my_lab" + ".a" * 3000, "\x1b]0;title\a"]
    opened: list[Path] = []
    read = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: (opened.append(path), read(path))[1])
    for name in names:
        files = {**recorded["code"]["files"], name: "0"}
        assert changed({**recorded, "code": {"sha256": "0", "files": files}}) == [
            name if name == "x/gone.html" else UNUSUAL
        ]
    assert {path.resolve().is_relative_to(ROOT) or path.is_relative_to(lab) for path in opened} == {True}


@pytest.mark.slow
def test_the_files_of_a_stage_are_what_it_imports_and_the_templates_that_it_names() -> None:
    """Compared with the graph of imports of another program."""
    graph = grimp.build_graph(PACKAGE, cache_dir=None)
    for name in (f"{PACKAGE}.{one}" for one in AROUND):
        for module in [*graph.find_descendants(name), name]:
            graph.remove_module(module)
    for module in graph.find_modules_directly_imported_by(PACKAGE):  # on first use of a name
        graph.remove_import(importer=PACKAGE, imported=module)
    for stage in ("evaluate", "infer", "prepare.plan", "probe", "report", "train", "traverse"):
        files = code_of(f"{PACKAGE}.stages.{stage}")["files"]
        assert graph.find_upstream_modules(f"{PACKAGE}.stages.{stage}") - {PACKAGE} <= files.keys(), stage
        assert not [name for name in files if name.split(".")[1] in AROUND]
        assert ("iodine_kit.reporting/page.html" in files) == ("iodine_kit.reporting.sections.scenes" in files)


def test_the_listed_modules_and_families_exist() -> None:
    assert all((ROOT / f"{name}.py").is_file() or (ROOT / name).is_dir() for name in AROUND)
    folders = [*FAMILIES.values(), *USED_AS_A_WHOLE]
    assert all((ROOT.joinpath(*name.split(".")) / "__init__.py").is_file() for name in folders)
