"""Files and names of others run nothing: no pickles, paths out of archives, unknown addresses or markup on pages."""

from __future__ import annotations

import ast
import tarfile
import zipfile
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from fakes import Bomb, save_pickle
from faults.damage import ACCEPTED
from faults.forked_commands import Commands
from faults.stage_commands import StageCommands, has_traceback, snapshot
from support import TINY, put, scene

ROOT = Path(__file__).parents[2]
MODULES = [
    path for folder in ("iodine_kit", "benchmarks", "examples") for path in sorted((ROOT / folder).rglob("*.py"))
]
UNSAFE_MODULES = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "yaml"}
UNSAFE_CALLS = {"eval", "exec", "os.system", "os.popen", "torch.jit.load", "pandas.read_pickle", "pd.read_pickle"}
NEEDED = {
    "np.load": ("allow_pickle", False), "numpy.load": ("allow_pickle", False), "torch.load": ("weights_only", True),
    "extractall": ("filter", "data"), "extract": ("filter", "data"),
}  # fmt: skip
"""Calls that are safe only with this argument."""


def unsafe(path: Path) -> list[str]:
    """What in a module could run code out of a file, or write where an archive says."""
    found = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        place = f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [one.name for one in node.names]
            found += [f"{place}: imports {name}" for name in names if name.partition(".")[0] in UNSAFE_MODULES]
        if isinstance(node, ast.Call):
            name, given = ast.unparse(node.func), {one.arg: ast.unparse(one.value) for one in node.keywords}
            needed, value = NEEDED.get(name) or NEEDED.get(name.rpartition(".")[2] if "." in name else "", ("", None))
            if name in UNSAFE_CALLS or given.get("shell") == "True" or (needed and given.get(needed) != repr(value)):
                found.append(f"{place}: {name}")
    return found


def test_no_module_opens_pickles_evaluates_text_or_extracts_archives() -> None:
    assert len(MODULES) > 300
    assert [place for path in MODULES for place in unsafe(path)] == []


@pytest.mark.parametrize(
    "code",
    ["import pickle", "np.load(p)", "np.load(p, allow_pickle=True)", "torch.load(p)", "tar.extractall(p)", "eval(t)"],
)
def test_the_scan_finds_what_is_unsafe(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    (tmp_path / "a.py").write_text(code)
    assert len(unsafe(tmp_path / "a.py")) == 1


def test_no_command_runs_a_pickle(commands: Commands, tmp_path: Path) -> None:
    marker = tmp_path / "unpickled"
    save_pickle(tmp_path / "a.npy", marker)
    np.savez(tmp_path / "a.npz", mask=np.array([Bomb(marker)], dtype=object))
    with zipfile.ZipFile(tmp_path / "a.pt", "w") as archive:  # what torch.save writes
        import pickle

        archive.writestr("a/data.pkl", pickle.dumps(Bomb(marker)))
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(Bomb(marker)))
    made = commands.run("prepare", "tetrominoes", "--generate", 4, "--set", "dataset.cell=1", folder=tmp_path)
    assert made.status == 0, made.err
    reads = {
        "a.npy": "import-predictions",
        "a.npz": "import-predictions",
        "a.pt": "import-checkpoint",
        "a.pkl": "unpack",
    }
    for name, reader in reads.items():
        for command in ([reader, name], ["inspect", name]):
            ended = commands.run(*command, folder=tmp_path)
            assert ended.status in {0, *ACCEPTED} and not has_traceback(ended), (command, ended)
            assert ended.status or command[0] == "inspect", command
    assert not marker.exists()


@pytest.mark.parametrize("kind", ["a path upwards", "an absolute path", "a symbolic link", "a hard link"])
def test_an_archive_cannot_write_outside_its_folder(kind: str, commands: Commands, tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    member = tarfile.TarInfo(
        {"a path upwards": "../outside/x", "an absolute path": f"{outside}/x"}.get(kind, "iodine-kit")
    )
    if "link" in kind:
        member.type = tarfile.SYMTYPE if kind == "a symbolic link" else tarfile.LNKTYPE
        member.linkname = str(outside)
    with tarfile.open(inside / "a.tar", "w") as archive:
        archive.addfile(member)
    before = snapshot(tmp_path)
    ended = commands.run("unpack", "a.tar", folder=inside)
    assert ended.status in ACCEPTED and not has_traceback(ended), ended
    assert snapshot(tmp_path) == before


SCHEMES = ["simplecache::http://x/a", "zip://a::http://x/a", "git://x/a", "github://a:b@c/d", "dask://a", "libarchive://a",
           "reference://a", "javascript://a", "jupyter://x/a", "cmd://ls"]  # fmt: skip


def test_only_addresses_of_known_schemes_are_opened(commands: Commands, tmp_path: Path) -> None:
    for address in SCHEMES:
        for command in (["prepare", "tetrominoes", "--source", address], ["pull", "--from", address]):
            ended = commands.run(*command, folder=tmp_path)
            assert ended.status in (3, 5) and not has_traceback(ended), (command, ended)
            assert "https://" in ended.sentence, ended.sentence


HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(1)>'
FOR_FILES = HOSTILE.replace("/", "∕")


class Page(HTMLParser):
    """What of a page would run or load something."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.dangers: list[str] = []
        self.scripts = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"
        for name, value in attributes:
            address = (value or "").strip().lower()
            if (
                name.startswith("on")
                or address.startswith(("javascript:", "http:", "//"))
                or (tag, value) == ("img", "x")
            ):
                self.dangers.append(f"<{tag} {name}={value!r}>")


def test_no_name_of_others_becomes_markup(commands: Commands, stages: StageCommands, tmp_path: Path) -> None:
    for index in range(6):
        image, mask = scene(index, 16)
        put(tmp_path / "own" / "images" / f"{FOR_FILES}{index}.png", image)
        put(tmp_path / "own" / "masks" / f"{FOR_FILES}{index}.png", mask)

    def run(*arguments: object) -> str:
        ended = commands.run(*arguments, folder=tmp_path)
        assert ended.status == 0, ended
        return ended.out.strip().splitlines()[-1]

    data = run("prepare", "folder", "--source", "own", "--split", "train=3", "--split", "test=3")
    run("train", *TINY, "--set", "train.steps=1", "--set", "train.tensorboard=false")
    ours = run("eval", "--predictions", run("infer"), "--metric", "ari")
    np.savez(tmp_path / "theirs.npz", mask=np.zeros((3, 16, 16), np.uint8))
    order = ["--set", "import.order='dataset'", "--model", HOSTILE]
    theirs = run("eval", "--predictions", run("import-predictions", "theirs.npz", *order), "--metric", "ari")
    run("compare", ours, theirs)
    run("stats", data)
    run("report", "--evaluation", ours, "--evaluation", theirs, "--set", f"report.title={HOSTILE}\n```\n{HOSTILE}")
    plain = stages.base / stages["report"].made[0] / "index.html"
    usual = {"report": Page(plain.read_text("utf-8")).scripts, "statistics": 0}
    pages = sorted((tmp_path / "data").rglob("*.html"))
    assert {path.relative_to(tmp_path / "data").parts[0] for path in pages} == {"report", "statistics"}
    for path in pages:
        page = Page(text := path.read_text("utf-8"))
        assert page.dangers == [] and page.scripts <= usual[path.relative_to(tmp_path / "data").parts[0]], path
        assert "&lt;script&gt;" in text or "\\u003cscript" in text
    for path in (tmp_path / "data").rglob("*.svg"):
        tags = {element.tag.rpartition("}")[2] for element in ElementTree.parse(path).iter()}
        assert not tags & {"script", "foreignObject", "a"}, path
    for path in (tmp_path / "data").rglob("*.md"):
        page = Page(
            pytest.importorskip("markdown_it").MarkdownIt("commonmark").enable("table").render(path.read_text("utf-8"))
        )
        assert page.dangers == [] and page.scripts == 0, path
