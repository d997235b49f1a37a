"""The architecture: sizes of files, layers, imports, and documents that must agree with the code."""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "iodine_kit").rglob("*.py"))


def test_files_are_small() -> None:
    lengths = {path: len(path.read_text("utf-8").splitlines()) for path in SOURCES}
    assert max(lengths.values()) <= 300, max(lengths, key=lambda path: lengths[path])
    assert 80 <= statistics.median(lengths.values()) <= 135


def test_the_map_in_contributing_matches_the_folders_and_the_layers() -> None:
    lines = (ROOT / "CONTRIBUTING.md").read_text("utf-8").split("```")[1].splitlines()
    inside = [line.split()[0].strip("/").removesuffix(".py") for line in lines if re.match(r"  \w", line)]
    outside = {line.split()[0].strip("/") for line in lines if re.match(r"\w", line)}
    children = {path.stem for path in (ROOT / "iodine_kit").iterdir() if path.name != "__pycache__"}
    assert sorted(inside) == sorted(children - {"__init__", "__main__", "py"} - {""})
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    folders = {path.split("/")[0] for path in tracked.splitlines() if "/" in path and not path.startswith(".")}
    assert outside == folders
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    layers = [set(layer.split(" | ")) for layer in contracts[0]["layers"]]
    levels = [next(level for level, names in enumerate(layers) if name in names) for name in inside]
    assert levels == sorted(levels)


def test_help_comes_up_without_torch_or_any_other_slow_import() -> None:
    script = (
        "import sys\nfrom iodine_kit.cli import main\nsys.argv[1:] = ['--help']\ntry: main()\nexcept SystemExit: pass\n"
    )
    script += "print(sorted({'torch', 'numpy', 'pandas', 'sklearn', 'h5py', 'pydantic'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_no_pickle_is_ever_loaded() -> None:
    forbidden = re.compile(r"import pickle|\bpickle\.|torch\.load\(|allow_pickle=True|joblib\.load")
    found = [path for path in SOURCES if forbidden.search(_code(path))]
    assert found == []


def _code(path: Path) -> str:
    text = re.sub(r'""".*?"""', "", path.read_text("utf-8"), flags=re.S)
    return "\n".join(line.split("#")[0] for line in text.splitlines())


def test_the_table_of_exit_statuses_is_complete() -> None:
    from iodine_kit import errors

    page = (ROOT / "docs" / "cli.md").read_text("utf-8")
    table = page[page.index("## Exit statuses") : page.index("## Extras")]
    stated = {int(number) for number in re.findall(r"\| (\d+) \|", table)}
    kinds = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)]
    assert {kind.exit_status for kind in kinds} - {1} <= stated
