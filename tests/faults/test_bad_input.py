"""Every mistake of a user ends in one sentence with its own exit status and leaves no partial artifact."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support import TINY, Command

from iodine_kit.tfrecord import serialize_example, write_records

GENERATE = ["prepare", "tetrominoes", "--set", "dataset.cell=2"]


def sprites(path: Path) -> None:
    """A valid file of another data set."""
    write_records(path, [serialize_example({"image": np.zeros(12288, np.uint8), "scale": np.ones(6, np.float32)})])


def truncated(path: Path, mini: Path) -> None:
    path.write_bytes(mini.read_bytes()[:2000])


def flipped(path: Path, mini: Path) -> None:
    data = bytearray(gzip.decompress(mini.read_bytes()))
    data[30_000] ^= 4
    path.write_bytes(gzip.compress(bytes(data)))


def text(path: Path, mini: Path) -> None:
    path.write_text("hello, this is no TFRecord file at all\n")


def empty(path: Path, mini: Path) -> None:
    path.touch()


@pytest.mark.parametrize(
    ("make", "status", "message"),
    [
        (lambda path, mini: None, 5, "no such file or folder; give --source PATH or an address, or --generate N"),
        (text, 6, "not a TFRecord file"),
        (empty, 6, "not a TFRecord file"),
        (truncated, 6, "record"),
        (flipped, 6, "record 1, byte"),
        (lambda path, mini: sprites(path), 7, "looks like another data set's file"),
    ],
)
def test_a_bad_source_is_refused(
    make: Callable[[Path, Path], None], status: int, message: str, iodine_kit: Command, tmp_path: Path, mini: Path
) -> None:
    make(tmp_path / "given.tfrecords", mini)
    done = iodine_kit(
        "prepare",
        "tetrominoes",
        "--source",
        "given.tfrecords",
        "--split",
        "train=10",
        "--format",
        "hdf5",
        status=status,
    )
    _one_sentence(done.stderr, "given.tfrecords", message)
    _nothing_left(tmp_path / "data")


def test_an_unreachable_address_is_refused(iodine_kit: Command, tmp_path: Path) -> None:
    done = iodine_kit("prepare", "tetrominoes", "--source", "http://127.0.0.1:9/t.tfrecords", status=5)
    _one_sentence(done.stderr, "http://127.0.0.1:9/t.tfrecords", "cannot be downloaded")


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (
            ["prepare", "tetromino", "--generate", 5],
            4,
            "no data set is called 'tetromino'; did you mean 'tetrominoes'?",
        ),
        ([*GENERATE, "--generate", 5, "--format", "hdf"], 4, "no format is called 'hdf'; did you mean 'hdf5'?"),
        ([*GENERATE, "--generate", 5, "--set", "dataset.sell=2"], 3, "did you mean 'cell'?"),
        ([*GENERATE, "--generate", 5, "--set", "dataset.cell=0"], 3, "dataset.cell: input should be greater than"),
        ([*GENERATE, "--generate", 5, "--split", "train=5", "--split", "test=0"], 8, "split 'test' would be empty"),
        ([*GENERATE, "--generate", 5, "--split", "train=4"], 8, "make them equal"),
        ([*GENERATE, "--generate", 5, "--source", "x"], 3, "exclude each other"),
        ([*GENERATE, "--generate", 5, "--split", "train=x"], 2, "is not NAME=N"),
        ([*GENERATE, "--generate", 5, "--split", "../x=5"], 3, "is not a valid name of a split"),
        ([*GENERATE, "--generate", 0], 3, "prepare.generate: input should be greater than or equal to 1"),
        (["train"], 10, "holds no dataset yet: make one with 'iodine-kit prepare"),
        (["infer"], 10, "holds no run yet: make one with 'iodine-kit train'"),
        (["eval"], 10, "holds no predictions yet: make one with 'iodine-kit infer'"),
        (["report"], 10, "holds no evaluation yet: make one with 'iodine-kit eval'"),
        (["show", "nothing"], 10, "nothing: no such artifact"),
        (["run", "absent"], 3, "no pipeline is called 'absent'"),
        (["run", "absent.toml"], 3, "absent.toml: no such configuration file"),
    ],
)
def test_bad_arguments_are_refused(
    arguments: list[object], status: int, message: str, iodine_kit: Command, tmp_path: Path
) -> None:
    _one_sentence(iodine_kit(*arguments, status=status).stderr, message)
    _nothing_left(tmp_path / "data")


def test_a_file_with_too_few_scenes_is_refused(iodine_kit: Command, tmp_path: Path, mini: Path) -> None:
    arguments = ["prepare", "tetrominoes", "--source", mini, "--split", "train=8", "--split", "test=5"]
    for format in ("hdf5", "webdataset"):
        done = iodine_kit(*arguments, "--format", format, status=8)
        _one_sentence(done.stderr, "contains 10 records", "it lacks 3 of 5 for 'test'", "--split NAME=N")
    _nothing_left(tmp_path / "data")


@pytest.fixture
def prepared(iodine_kit: Command, tmp_path: Path) -> Path:
    return tmp_path / iodine_kit(*GENERATE, "--generate", 20).stdout.strip()


@pytest.mark.parametrize(
    ("settings", "status", "message"),
    [
        (["train.stesp=5"], 3, "train.stesp is not a known key; did you mean 'steps'?"),
        (["trian.steps=5"], 3, "unknown table 'trian'; did you mean 'train'?"),
        (["train.steps=0"], 3, "train.steps: input should be greater than or equal to 1 (given: 0)"),
        (["model.likelihood=mixture-logistics"], 3, "model.likelihood: input should be 'mixture-logistic'"),
        (["model.preset=release-clevr"], 3, "no preset is called 'release-clevr'; did you mean 'release-clevr6'?"),
        (["model.name=iodin"], 4, "no model is called 'iodin'; did you mean 'iodine'?"),
        (["train.split=tain"], 8, "has no split 'tain'; did you mean 'train'?"),
        (["model.preset=release-clevr6"], 9, "needs images of at least 16×16 pixels, but these are 14×14"),
        (["train.device=cuda:7"], 3, "device 'cuda:7' cannot be used"),
    ],
)
def test_a_bad_training_configuration_is_refused(
    settings: list[str], status: int, message: str, iodine_kit: Command, prepared: Path, tmp_path: Path
) -> None:
    options = [part for setting in settings for part in ("--set", setting)]
    _one_sentence(iodine_kit("train", *options, status=status).stderr, message)
    assert not list((tmp_path / "data").glob("run/*"))


@pytest.mark.slow
def test_a_diverging_run_is_reported_and_leaves_no_artifact(
    iodine_kit: Command, prepared: Path, tmp_path: Path
) -> None:
    settings = [*TINY, "--set", "train.learning_rate=1e30", "--set", "train.steps=20"]
    _one_sentence(iodine_kit("train", *settings, status=13).stderr, "training diverged at step", "train.learning_rate")
    assert not list((tmp_path / "data").glob("run/[!.]*"))


@pytest.mark.slow
def test_bad_inference_and_evaluation_are_refused(iodine_kit: Command, prepared: Path, tmp_path: Path) -> None:
    iodine_kit("train", *TINY, "--set", "train.steps=1")
    for setting, status, message in [
        ("infer.scenes=99", 8, "has 2 scenes, not 99"),
        ("infer.slots=1", 3, "omit it from inputs"),
        ("infer.store=['soft']", 3, "infer.store.0: input should be 'step_mask'"),
    ]:
        _one_sentence(iodine_kit("infer", "--set", setting, status=status).stderr, message)
    iodine_kit("infer", "--set", "infer.store=[]")
    assert "metric 'mse' needs 'reconstruction'" in iodine_kit("eval", "--metric", "mse", status=7).stderr
    assert "did you mean 'ari'?" in iodine_kit("eval", "--metric", "arri", status=4).stderr
    iodine_kit("eval", "--metric", "ari")
    page = tmp_path / iodine_kit("report").stdout.strip() / "index.html"
    assert "FG-ARI" in page.read_text("utf-8")


def test_an_artifact_altered_on_disk_is_detected(iodine_kit: Command, prepared: Path) -> None:
    assert "files are unchanged" in iodine_kit("verify", prepared).stdout
    data = bytearray((prepared / "test.h5").read_bytes())
    data[-1] ^= 1
    (prepared / "test.h5").write_bytes(data)
    _one_sentence(iodine_kit("verify", prepared, status=11).stderr, "test.h5 was altered", "--overwrite")
    iodine_kit(*GENERATE, "--generate", 20, "--overwrite")
    iodine_kit("verify", prepared)


def test_an_unwritable_store_is_reported(iodine_kit: Command, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where the store should be")
    _one_sentence(iodine_kit(*GENERATE, "--generate", 20, status=14).stderr, "data", "not the folder of a store")


def _one_sentence(stderr: str, *parts: str) -> None:
    assert "Traceback" not in stderr
    for part in parts:
        assert part in " ".join(stderr.split()), stderr
    if "error: " in stderr:
        assert len([line for line in stderr.splitlines() if line.startswith("error: ")]) == 1


def _nothing_left(store: Path) -> None:
    left = [path for path in store.rglob("*") if path.is_file() and path.parent.name not in (".locks", ".cache")]
    assert left == []
