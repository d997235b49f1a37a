"""``~`` at the beginning of a path that no shell expanded: in variables, after ``=``, in settings and in TOML files."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support import TINY, put, scene

KIT = [sys.executable, "-m", "iodine_kit"]


class Home:
    """A home folder and a working directory beside it."""

    def __init__(self, root: Path) -> None:
        self.home, self.work = root / "home", root / "work"
        self.home.mkdir()
        self.work.mkdir()

    def __call__(self, *arguments: str, status: int = 0, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run the command line there."""
        own = {name: value for name, value in os.environ.items() if not name.startswith("IODINE_KIT")}
        done = subprocess.run(
            [*KIT, *arguments],
            cwd=self.work,
            env={**own, "HOME": str(self.home), "OMP_NUM_THREADS": "1", "COLUMNS": "200", **variables},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == status, f"{arguments} ended in {done.returncode}:\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done

    def pictures(self, where: Path, masks: str = "masks") -> None:
        for number in range(3):
            image, mask = scene(number)
            put(where / f"images/{number}.png", image)
            put(where / masks / f"{number}.png", mask)

    def made(self, done: subprocess.CompletedProcess[str]) -> Path:
        """The artifact that a command printed."""
        return self.work / done.stdout.strip()

    @property
    def literal(self) -> Path:
        """What a ``~`` that is taken literally makes."""
        return self.work / "~"


@pytest.fixture
def kit(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The option that names a store with a tiny data set."""
    kit = Home(tmp_path_factory.mktemp("store"))
    kit(*SMALL)
    return f"--store={kit.work}/data"


GENERATE = ("prepare", "tetrominoes", "--generate", "24", "--split", "train=16", "--split", "test=8")
SMALL = (*GENERATE, "--set", "dataset.cell=1")


def test_the_store_of_the_environment_is_in_the_home_folder(kit: Home) -> None:
    made = kit.made(kit(*SMALL, IODINE_KIT_STORE="~/iodine"))
    assert made.is_relative_to(kit.home / "iodine") and made.is_dir() and not kit.literal.exists()
    assert str(made) in kit("list", IODINE_KIT_STORE="~/iodine").stdout
    assert str(made) in kit("list", "--store=~/iodine").stdout


@pytest.mark.parametrize("source", ["--source=~/pictures", "--source=~/pict*", "--source=~/pictures/../pictures"])
def test_a_source_after_an_equals_sign(source: str, kit: Home) -> None:
    kit.pictures(kit.home / "pictures")
    assert kit.made(kit("prepare", "folder", source)).is_dir()


def test_sources_of_a_setting_and_of_a_pipeline_file(kit: Home) -> None:
    kit.pictures(kit.home / "pictures")
    first = kit("prepare", "folder", "--set", 'prepare.source=["~/pictures"]')
    (kit.home / "own.toml").write_text('[prepare]\ndataset = "folder"\nsource = "~/pictures"\n', "utf-8")
    assert kit("prepare", "--pipeline=~/own.toml").stdout == first.stdout
    assert kit("prepare", "folder", f"--source={kit.home}/pictures").stdout == first.stdout


def test_masks_in_the_home_folder(kit: Home) -> None:
    kit.pictures(kit.home / "pictures", masks="elsewhere")
    (kit.home / "pictures/elsewhere").rename(kit.home / "labels")
    setting = kit("prepare", "folder", "--source=~/pictures/images", "--set", "layout.masks=~/labels", status=0)
    whole = kit("prepare", "folder", f"--source={kit.home}/pictures/images", "--set", f"layout.masks={kit.home}/labels")
    assert setting.stdout == whole.stdout


def test_a_file_of_the_generator(kit: Home) -> None:
    refused = kit("prepare", "multi-dsprites", "--generate", "2", "--set", "dataset.sprites=~/none.npz", status=5)
    assert f"{kit.home}/none.npz" in refused.stderr


def test_inputs_and_outputs_of_every_stage(kit: Home) -> None:
    """The store, a data set, weights, predictions, a mapping and a page, all in the home folder."""
    store = ("--store=~/s",)
    dataset = kit.made(kit(*SMALL, *store))
    named = f"--dataset=~/s/dataset/{dataset.name}"
    small = ("--set", "train.steps=1", "--set", "train.device=cpu", *TINY)
    run = kit.made(kit("train", named, *small, *store))
    (kit.home / "start.safetensors").write_bytes((run / "weights.safetensors").read_bytes())
    kit("train", named, "--from=~/start.safetensors", *small, *store)
    kit("train", named, "--set", "train.from=~/start.safetensors", *small, *store)
    kit("infer", f"--run=~/s/run/{run.name}", *store)
    kit("eval", "--metric", "ari", *store)
    kit("report", "--output=~/page.html", *store)
    assert (kit.home / "page.html").is_file()
    np.savez(kit.home / "p.npz", segments=np.zeros((8, 7, 7), np.uint8))
    (kit.home / "m.toml").write_text('[import]\nmask = "segments"\norder = "dataset"\n', "utf-8")
    kit("import-predictions", "~/p.npz", "--mapping=~/m.toml", named, *store)
    settings = ("--set", "import.mask=segments", "--set", "import.order=dataset")
    kit("eval", "--predictions=~/p.npz", named, "--metric", "ari", *settings, *store)
    assert not kit.literal.exists()


def test_a_folder_of_exported_files(kit: Home) -> None:
    dataset = kit("prepare", "tetrominoes", "--generate", "2", "--split", "train=2").stdout.strip()
    written = kit("export", dataset, "~/out").stdout.strip()
    assert Path(written).is_relative_to(kit.home / "out") and Path(written).is_file()


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("import-checkpoint", "~/none"), 5),
        (("import-checkpoint", "deepmind:clevr6", "--source=~/none"), 5),
        (("infer", "--checkpoint=~/none"), 10),
        (("run", "~/none.toml"), 3),
        (("train", "--from=~/none.safetensors"), 5),
        (("import-predictions", "~/none.npz"), 5),
    ],
)
def test_a_missing_file_is_named_by_its_whole_path(
    arguments: tuple[str, ...], status: int, kit: Home, store: str
) -> None:
    refused = kit(*arguments, store, status=status)
    assert not kit.literal.exists()
    if arguments[0] != "infer":
        assert f"{kit.home}/none" in refused.stderr


def test_programs_and_models_of_the_environment(kit: Home) -> None:
    program = kit.home / "blender"
    program.write_text('#!/bin/sh\necho \'{"error": "no bpy here"}\'\n', "utf-8")
    program.chmod(0o755)
    refused = kit("prepare", "clevr", "--generate", "1", status=5, IODINE_KIT_BLENDER="~/blender")
    assert "no bpy here" in refused.stderr
    (kit.home / "models/mine").mkdir(parents=True)
    (kit.home / "models/mine/card.json").write_text("{}", "utf-8")
    assert "mine" in kit("models", IODINE_KIT_PRETRAINED="~/models").stderr  # a card that cannot be read is named


@pytest.mark.parametrize(
    "arguments",
    [
        ("list", "--store=~nobody12/s"),
        ("prepare", "folder", "--source=~nobody12/pictures"),
        ("prepare", "folder", "--source=.", "--set", "layout.masks=~nobody12/m"),
        ("prepare", "multi-dsprites", "--generate", "2", "--set", "dataset.sprites=~nobody12/x.npz"),
        ("import-predictions", "~nobody12/p.npz"),
        ("run", "~nobody12/own.toml"),
        ("train", "--from=~nobody12/w.safetensors"),
        ("train", "--dataset=~nobody12/s/dataset/x"),
        ("import-checkpoint", "~nobody12/c"),
    ],
    ids=lambda arguments: " ".join(arguments),
)
def test_an_unknown_user_is_one_sentence(arguments: tuple[str, ...], kit: Home, store: str) -> None:
    kit.pictures(kit.work)
    refused = kit(*arguments, *([] if "--store" in arguments[-1] else [store]), status=3)
    assert "there is no user 'nobody12'" in refused.stderr and "./~nobody12" in refused.stderr
    assert not list(kit.work.glob("~*"))


def test_the_store_of_an_unknown_user_in_the_environment(kit: Home) -> None:
    assert "no user 'nobody12'" in kit("list", IODINE_KIT_STORE="~nobody12/s", status=3).stderr


def test_the_home_folder_of_a_user(kit: Home) -> None:
    refused = kit("prepare", "folder", "--source=~root/there-is-none", status=5)
    assert f"{Path('~root').expanduser()}/there-is-none" in refused.stderr


def test_files_whose_names_begin_with_a_tilde_are_still_reached(kit: Home) -> None:
    kit.pictures(kit.literal)
    kit.pictures(kit.work / "~copies")
    kit.pictures(kit.home / "pictures")
    literal = kit("prepare", "folder", "--source", "./~", "--store", "./~store")
    assert (kit.work / "~store/dataset").is_dir() and kit.made(literal).is_dir()
    assert kit("prepare", "folder", "--source", "~copies").stdout  # no such user: as in shells, a name like any other
    (kit.work / "own.toml").write_text('[prepare]\ndataset = "folder"\nsource = "./~"\n', "utf-8")
    assert kit("prepare", "--pipeline", "own.toml").stdout
    written = kit("stats", "--output", "./~page.html").stdout
    assert (kit.work / "~page.html").is_file() and written
