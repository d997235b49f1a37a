"""A folder with a store that has an artifact of every kind, and the command that made each of them."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from faults.forked_commands import Commands, Ended, Fault
from support import TINY
from unit.stages.released import checkpoint

MINI = Path(__file__).parents[1] / "data" / "tetrominoes_mini.tfrecords"
BESIDE = (".locks", ".cache", ".arrivals", "incoming")
"""Folders of a store or remote that belong to no artifact; ``gc`` empties them."""
GENERATE = ["prepare", "tetrominoes", "--generate", 24, "--split", "train=14", "--split", "test=10"]
SMALL = ["--set", "dataset.cell=1", "--set", "format.scenes_per_shard=5"]
PUBLISHED = ["prepare", "tetrominoes", "--source", "t.tfrecords", "--split", "train=6", "--split", "test=4"]
PIPELINE = """
prepare = { dataset = "tetrominoes", generate = 10, split = { train = 6, test = 4 }, format = "webdataset" }
dataset = { cell = 1 }
train = { steps = 2, batch_size = 4, tensorboard = false, checkpoint_every = 1 }
infer = { steps = 1 }
report = { title = "hit", scenes = 2 }
eval = { metrics = ["ari"], resamples = 100 }

[model]
steps = 1
latent = 3
gradient_reduction = "per-image"
decoder = { kernel = 3, channels = [4] }
refinement = { channels = [4], mlp = [4] }
"""


@dataclass
class StageCommand:
    """A command that makes artifacts, or files outside the store.

    Attributes:
        made: paths of the artifacts' folders, relative to the folder with the store.
        content: sha256 of what the undisturbed command made, by path; see :func:`contents`.
        events: number of its file operations.
        again: options that a repetition may need if files exist already.
        removes: whether it removes ``made`` instead.
    """

    name: str
    arguments: list[object]
    made: list[str] = field(default_factory=list)
    content: dict[str, str] = field(default_factory=dict)
    events: int = 0
    again: tuple[str, ...] = ()
    removes: bool = False

    @property
    def makes_one_artifact(self) -> bool:
        """Whether it is a stage, which makes one artifact in the store."""
        return (
            len(self.made) == 1
            and self.made[0].startswith("data/")
            and ".tags" not in self.made[0]
            and not self.removes
        )


class StageCommands:
    """The folder ``base``, in which every command has run once."""

    def __init__(self, commands: Commands, folder: Path, workers: bool = True) -> None:
        """Make the base in ``folder``, unless it is there; ``workers`` adds a command with several processes."""
        self.commands, self.base = commands, folder / "base"
        record = folder / "commands.json"
        if record.exists():
            self.all = [StageCommand(**one) for one in json.loads(record.read_text("utf-8"))]
        else:
            self.all = []
            self.base.mkdir(parents=True)
            self._write_sources()
            self._make(workers)
            record.write_text(json.dumps([asdict(one) for one in self.all]), "utf-8")
        self.files = set(snapshot(self.base))

    def __getitem__(self, name: str) -> StageCommand:
        return next(one for one in self.all if one.name == name)

    def copy(self, folder: Path, without: StageCommand | None = None) -> Path:
        """A copy of the base as ``folder``; ``without`` what a command made."""
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.base, folder)
        for made in without.made if without and not without.removes else ():
            self.remove(folder, made)
        return folder

    def remove(self, folder: Path, made: str) -> None:
        """Delete an artifact, or files outside the store, from a copy."""
        shutil.rmtree(folder / made, ignore_errors=True)

    def _write_sources(self) -> None:
        shutil.copy(MINI, self.base / "t.tfrecords")
        checkpoint(self.base / "released" / "model.ckpt", "tetrominoes")
        (self.base / "chain.toml").write_text(PIPELINE)
        np.savez(self.base / "theirs.npz", mask=np.zeros((10, 7, 7), np.uint8))

    def _make(self, workers: bool) -> None:
        data = self._add("prepare, HDF5", *GENERATE, *SMALL)
        self._add("prepare, WebDataset", *GENERATE, *SMALL, "--format", "webdataset")
        published = self._add("prepare, published, HDF5", *PUBLISHED, "--set", "format.scenes_per_shard=2")
        self._add("prepare, published, WebDataset", *PUBLISHED, "--format", "webdataset")
        if workers:
            self._add("prepare, 2 workers", *GENERATE, *SMALL, "--set", "dataset.cell=2", "--workers", 2)
        self._add("stats", "stats", data)
        self._add("export", "export", published, "exported", made="exported", again=("--overwrite",))
        options = ["train.steps=3", "train.checkpoint_every=1", "train.log_every=1", "train.tensorboard=false"]
        settings = [part for option in options for part in ("--set", option)]
        run = self._add("train", "train", "--dataset", data, *TINY, *settings)
        predictions = self._add("infer", "infer", "--run", run, "--dataset", data, "--set", "infer.batch_size=4")
        scored = ["--metric", "ari", "--set", "eval.resamples=100"]
        evaluation = self._add("eval", "eval", "--predictions", predictions, *scored)
        quick = ["--set", "probe.factors=['color']", "--set", "probe.folds=2", "--set", "probe.resamples=0"]
        self._add("probe", "probe", "--predictions", predictions, *quick)
        few = ["--set", "traverse.dimensions=2", "--set", "traverse.scenes=1", "--set", "traverse.values=3"]
        self._add("traverse", "traverse", "--predictions", predictions, *few)
        order = ["--set", "import.order='dataset'"]
        imported = self._add("import-predictions", "import-predictions", "theirs.npz", "--dataset", data, *order)
        other = self._add("eval, imported", "eval", "--predictions", imported, *scored)
        self._add("compare", "compare", evaluation, other, "--set", "compare.resamples=100")
        self._add("report", "report", "--evaluation", evaluation, "--set", "report.scenes=2")
        self._add("import-checkpoint", "import-checkpoint", "released/model.ckpt")
        self._add("run", "run", "chain.toml")
        self._add_sharing(evaluation)

    def _add_sharing(self, evaluation: str) -> None:
        self._add("tag", "tag", "best", evaluation, made="data/.tags")
        self._add("pack", "pack", evaluation, "--output", "packed/a.tar", made="packed", again=("--overwrite",))
        self._add("unpack", "unpack", "packed/a.tar", "--store", "unpacked", made="unpacked")
        self._add("push", "push", evaluation, "--to", "pushed", made="pushed")
        self._add(
            "pull", "pull", evaluation.removeprefix("data/"), "--from", "pushed", "--store", "pulled", made="pulled"
        )
        gone, command = self["compare"].made, ["gc", "--kind", "comparison", "--older-than", 0, "--yes"]
        ended = self.commands.run(*command, folder=self.copy(self.base.parent / "gc"), fault=Fault())
        assert ended.status == 0, ended.err
        self.all.append(StageCommand("gc", command, gone, {}, ended.events, removes=True))

    def _add(self, name: str, *arguments: object, made: str = "", again: tuple[str, ...] = ()) -> str:
        """Run a command, and return the path that it printed last."""
        before = set(artifacts_in(self.base))
        ended = self.commands.run(*arguments, folder=self.base, fault=Fault())
        assert ended.status == 0, f"{name}: {ended.err}"
        paths = [made] if made else sorted(set(artifacts_in(self.base)) - before)
        one = StageCommand(name, list(arguments), paths, contents(self.base, paths), ended.events, again=again)
        self.all.append(one)
        return ended.out.split()[-1]


def artifacts_in(folder: Path) -> list[str]:
    """The folders of finished artifacts, relative to ``folder``."""
    found = (folder / "data").glob("*/[!.]*/manifest.json")
    return sorted(path.parent.relative_to(folder).as_posix() for path in found)


def contents(folder: Path, made: list[str]) -> dict[str, str]:
    """What identifies the bytes of artifacts, and of files outside the store.

    Of the report of a whole pipeline and of a tag, only whether it is there: they say how long training took, and when
    the tag was given.
    """
    result = {}
    for place in made:
        manifest = folder / place / "manifest.json"
        if manifest.is_file():
            content = json.loads(manifest.read_text("utf-8"))["content"]
            result[place] = "" if len(made) > 1 and place.startswith("data/report/") else content
        else:
            result |= {path: digest for path, digest in snapshot(folder).items() if path.startswith(f"{place}/")}
    return {path: "" if path.startswith("data/.tags/") else digest for path, digest in result.items()}


def snapshot(folder: Path) -> dict[str, str]:
    """sha256 of every file in a folder, without locks and caches."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.match(".tags/.*"))
    shown = {path.relative_to(folder).as_posix(): path for path in files if not set(BESIDE) & set(path.parts)}
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in shown.items()}


def belongs_to(path: str, made: list[str]) -> bool:
    """Whether a path is in one of these artifacts, or is one of their unfinished forms."""
    return any(path.startswith((f"{one}/", *_unfinished(one))) for one in made)


def _unfinished(made: str) -> Iterator[str]:
    kind, name = made.rsplit("/", 1) if "/" in made else ("", made)
    yield from (f"{kind}/.{name}.", f"{kind}/.manifest.json-")


def has_traceback(ended: Ended) -> bool:
    """Whether a command ended with a traceback, which no user should see."""
    return "Traceback (most recent" in ended.err or "Exception ignored" in ended.err
