"""prepare on the command line: an interrupted run resumes, and the configuration alone determines the bytes."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support import Command

from iodine_kit.formats import FORMATS
from iodine_kit.tfrecord import read_examples, read_records, serialize_example, write_records

GUIDE = (Path(__file__).parents[2] / "docs" / "data.md").read_text("utf-8")
PLUGIN = GUIDE.split("```python\n")[1].split("```")[0]
"""The guide's example of a third-party data set."""
SMALL = ["--set", "dataset.cell=2", "--set", "format.scenes_per_shard=40"]


def digests(directory: Path) -> dict[str, str]:
    files = (path for path in directory.iterdir() if path.name != "manifest.json")
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def only(store: Path) -> Path:
    (path,) = (path for path in (store / "dataset").iterdir() if not path.name.startswith("."))
    return path


def facts(store: Path) -> dict[str, object]:
    return json.loads((only(store) / "dataset.json").read_text())  # type: ignore[no-any-return]


MIXED = """
from iodine_kit.protocols import Rule
from iodine_kit.split_rules import Shuffled

VERSION, SUMMARY, SOURCE = 1, "for this test", "this test"
RULES = {"tetrominoes": Rule("at random", Shuffled(1500, 3, (("train", 0.6), ("test", 1.0))))}
"""


@pytest.mark.slow
def test_interleaved_splits_of_a_published_file_survive_interruptions(
    iodine_kit: Command, tmp_path: Path, mini: Path
) -> None:
    payloads = [payload for _, _, payload in read_records(mini)]
    write_records(tmp_path / "t.tfrecords", payloads * 150)
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "mixed.py").write_text(MIXED)
    arguments = ["prepare", "tetrominoes", "--source", "t.tfrecords", "--protocol", "rules.mixed"]
    arguments += ["--set", "format.scenes_per_shard=40", "--set", "preprocess.crop=centre:30"]
    iodine_kit(*arguments, "--store", "whole")
    ends = _interrupt([*arguments, "--workers", "2"], tmp_path)
    messages = iodine_kit(*arguments, "--store", "interrupted").stderr
    assert ends == [-signal.SIGKILL, 130] and "resuming after" in messages
    assert digests(only(tmp_path / "interrupted")) == digests(only(tmp_path / "whole"))
    assert facts(tmp_path / "interrupted")["splits"] == {"train": 900, "test": 600}


def _interrupt(arguments: list[str], folder: Path) -> list[int]:
    """Run the command several times, interrupt each run at another point, and return the exit statuses."""
    rng, ends = np.random.default_rng(0), []
    for kind in [signal.SIGKILL, signal.SIGINT]:
        command = [sys.executable, "-m", "iodine_kit", *arguments, "--store", "interrupted"]
        process = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True)
        _await_shards(process, int(rng.integers(1, 6)))
        process.send_signal(kind)
        process.communicate()
        ends.append(process.returncode)
    return ends


def _await_shards(process: subprocess.Popen[str], count: int) -> None:
    """Read the messages of the process until it has written this number of shards; it then runs on for a moment."""
    assert process.stderr is not None
    while count and (line := process.stderr.readline()):
        count -= "shard" in line


@pytest.mark.slow
def test_the_number_of_workers_does_not_change_the_result(iodine_kit: Command, tmp_path: Path) -> None:
    for workers in (1, 3):
        arguments = ["--generate", 120, "--format", "webdataset", "--set", "format.scenes_per_shard=25"]
        iodine_kit("prepare", "multi-dsprites", *arguments, "--workers", workers, "--store", f"w{workers}")
    assert digests(only(tmp_path / "w1")) == digests(only(tmp_path / "w3"))
    assert only(tmp_path / "w1").name == only(tmp_path / "w3").name


def test_shards_and_hdf5_contain_the_same_scenes(iodine_kit: Command, tmp_path: Path, mini: Path) -> None:
    source = ["prepare", "tetrominoes", "--source", mini, "--split", "train=7", "--split", "test=3"]
    for name in ("hdf5", "webdataset"):
        iodine_kit(*source, "--format", name, "--set", "format.scenes_per_shard=4", "--store", name)
    for split, count in {"train": 7, "test": 3}.items():
        first, second = (FORMATS.load(name).open_split(only(tmp_path / name), split) for name in ("hdf5", "webdataset"))
        assert len(first) == len(second) == count and first.keys() == second.keys()
        for index in range(count):
            a, b = first.scene(index), second.scene(index)
            assert (a.image == b.image).all() and (a.mask == b.mask).all() and a.factors.keys() == b.factors.keys()
            assert all((a.factors[name] == b.factors[name]).all() for name in a.factors)


def test_the_contact_sheet_shows_the_first_scenes(iodine_kit: Command, tmp_path: Path, mini: Path) -> None:
    from PIL import Image

    iodine_kit("prepare", "tetrominoes", "--source", mini, "--split", "train=10")
    with Image.open(only(tmp_path / "data") / "contact-sheet.png") as sheet:
        pixels = np.asarray(sheet)
    scene = FORMATS.load("hdf5").open_split(only(tmp_path / "data"), "train").scene(0)
    factor = round(96 / 35)
    assert (pixels[4 : 4 + 35 * factor : factor, 4 : 4 + 35 * factor : factor] == scene.image).all()
    shown = pixels[4 : 4 + 35 * factor : factor, 4 + 35 * factor : 4 + 70 * factor : factor]
    for index in range(4):
        assert len(np.unique(shown[scene.mask == index], axis=0)) == 1


def broken(mini: Path, path: Path, records: set[int]) -> Path:
    """The published file with some records whose masks overlap."""
    payloads = []
    for raw in read_examples(mini):
        features = {name: np.asarray(feature.values) for name, feature in raw.features.items()}
        if raw.index in records:
            features["mask"] = np.full(4900, 255, np.uint8)
        payloads.append(serialize_example(features))
    write_records(path, payloads)
    return path


def test_damaged_records_are_omitted_and_listed_on_request(iodine_kit: Command, tmp_path: Path, mini: Path) -> None:
    broken(mini, tmp_path / "b.tfrecords", {3, 8})
    source = ["prepare", "tetrominoes", "--source", "b.tfrecords", "--split", "train=8"]
    message = iodine_kit(*source, status=7).stderr
    assert "b.tfrecords: record 3" in message and "belongs to 4 entities" in message
    message = iodine_kit(*source, "--set", "prepare.skip_bad=true", status=6).stderr
    assert "2 of 10 records are bad" in message and "prepare.max_bad" in message
    iodine_kit(*source, "--set", "prepare.skip_bad=true", "--set", "prepare.max_bad=0.2")
    found = facts(tmp_path / "data")
    assert found["splits"] == {"train": 8} and found["records"] == {
        "read": 10,
        "filtered_scenes": 0,
        "surplus_scenes": 0,
        "bad": 2,
    }
    assert [bad["record"] for bad in found["bad"]] == [3, 8]  # type: ignore[attr-defined]
    keys = FORMATS.load("hdf5").open_split(only(tmp_path / "data"), "train").keys()
    assert [int(key[-2:]) for key in keys] == [0, 1, 2, 4, 5, 6, 7, 9]


def test_a_file_that_does_not_fit_the_protocol_is_refused(iodine_kit: Command, tmp_path: Path, mini: Path) -> None:
    message = iodine_kit("prepare", "tetrominoes", "--source", mini, "--protocol", "slot-attention", status=8).stderr
    assert "contains 10 records: split 'train' takes records 0 to 59999" in message
    message = iodine_kit("prepare", "tetrominoes", "--source", mini, "--protocol", "oclf", status=7).stderr
    assert "protocol oclf does not define the data set tetrominoes" in message
    iodine_kit("prepare", "tetrominoes", "--source", mini, "--protocol", "iodine-release")
    assert facts(tmp_path / "data")["origin"]["protocol"] == "iodine-release"  # type: ignore[index]


def test_sources_can_be_folders_patterns_and_addresses(iodine_kit: Command, tmp_path: Path, mini: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    for name in ("b.tfrecords", "a.tfrecords"):
        (folder / name).write_bytes(mini.read_bytes())
    for store, source in {"f": "files", "p": "files/*.tfrecords", "u": f"file://{folder}/[ab].tfrecords"}.items():
        iodine_kit("prepare", "tetrominoes", "--source", source, "--split", "train=20", "--store", store)
    several = ["--source", "files/a.tfrecords", "--source", "files/b.tfrecords"]
    iodine_kit("prepare", "tetrominoes", *several, "--split", "train=20", "--store", "s")
    names = {only(tmp_path / store).name for store in "fps"}
    assert len(names) == 1  # the same bytes: the same data set
    assert digests(only(tmp_path / "u")) == digests(only(tmp_path / "f"))


def test_another_compression_gives_the_same_bytes_under_another_key(
    iodine_kit: Command, tmp_path: Path, mini: Path
) -> None:
    (tmp_path / "plain.tfrecords").write_bytes(gzip.decompress(mini.read_bytes()))
    for store, source in {"a": mini, "b": "plain.tfrecords"}.items():
        iodine_kit("prepare", "tetrominoes", "--source", source, "--split", "train=10", "--store", store)
    assert digests(only(tmp_path / "a")) == digests(only(tmp_path / "b"))
    assert only(tmp_path / "a").name != only(tmp_path / "b").name


STUBBORN = """
from pathlib import Path
from discs import *
from discs import generate as draw
from iodine_kit.errors import SourceError


def generate(config, rng, key):
    if not Path("repaired").exists() and key.endswith("99"):
        raise SourceError("the renderer died")
    return draw(config, rng, key)
"""


def test_a_run_resumes_after_a_failed_generator_is_repaired(iodine_kit: Command, tmp_path: Path) -> None:
    (tmp_path / "discs.py").write_text(PLUGIN)
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "stubborn.py").write_text(STUBBORN)
    command = ["prepare", "plugins.stubborn", "--generate", 200]
    assert "the renderer died" in iodine_kit(*command, status=5).stderr
    (tmp_path / "repaired").touch()
    assert "resuming after" in iodine_kit(*command).stderr
    iodine_kit(*command, "--store", "whole")
    assert digests(only(tmp_path / "whole")) == digests(only(tmp_path / "data"))


def test_a_third_party_data_set_is_used_by_its_module_path(iodine_kit: Command, tmp_path: Path) -> None:
    package = tmp_path / "my_lab"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "discs.py").write_text(PLUGIN)
    command = ["prepare", "my_lab.discs", "--generate", 30, "--set", "dataset.radius=3", "--format", "webdataset"]
    done = iodine_kit(*command)
    assert "dataset/discs-" in done.stdout and facts(tmp_path / "data")["splits"]
    iodine_kit(*command, "--workers", 2, "--store", "two")
    assert digests(only(tmp_path / "two")) == digests(only(tmp_path / "data"))
    (package / "half.py").write_text("VERSION = 1\n")
    message = iodine_kit("prepare", "my_lab.half", "--generate", 3, status=4).stderr
    assert "'my_lab.half' is not a valid data set: it does not define" in message and "generate" in message
    assert "cannot be imported" in iodine_kit("prepare", "my_lab.none", "--generate", 3, status=4).stderr


def test_a_third_party_data_set_is_used_by_its_entry_point(tmp_path: Path) -> None:
    site = tmp_path / "site"
    metadata = site / "my_lab-1.0.dist-info"
    metadata.mkdir(parents=True)
    (site / "my_discs.py").write_text(PLUGIN)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: my-lab\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[iodine_kit.datasets]\ndiscs = my_discs\n")
    command = [
        sys.executable,
        "-m",
        "iodine_kit",
        "prepare",
        "discs",
        "--generate",
        "30",
        "--store",
        str(tmp_path / "d"),
    ]
    environment = {**os.environ, "PYTHONPATH": str(site)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert facts(tmp_path / "d")["info"]["dataset"] == "discs"  # type: ignore[index]


def picture(path: Path, shade: int) -> None:
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((8, 8, 3), shade, np.uint8)).save(path)


def test_file_names_that_decide_splits_are_part_of_the_key(iodine_kit: Command, tmp_path: Path) -> None:
    picture(tmp_path / "own" / "train" / "a.png", 10)
    picture(tmp_path / "own" / "val" / "b.png", 20)
    first = iodine_kit("prepare", "folder", "--source", "own").stdout
    (tmp_path / "own" / "train").rename(tmp_path / "own" / "test")
    (tmp_path / "own" / "val").rename(tmp_path / "own" / "train")
    done = iodine_kit("prepare", "folder", "--source", "own", "--json")
    assert json.loads(done.stdout)["splits"] == {"test": 1, "train": 1} and first.strip() not in done.stdout
    (tmp_path / "own").rename(tmp_path / "moved")
    assert "up to date" in iodine_kit("prepare", "folder", "--source", "moved").stderr


def test_a_file_that_is_given_twice_is_refused(iodine_kit: Command, tmp_path: Path, mini: Path) -> None:
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "t.tfrecords").write_bytes(mini.read_bytes())
    for source in (["--source", "f/**"], ["--source", "f", "--source", "f/t.tfrecords"]):
        message = iodine_kit("prepare", "tetrominoes", *source, "--split", "train=10", status=5).stderr
        assert "t.tfrecords: this file is named twice" in message


def test_a_file_and_its_address_give_the_same_data_set(iodine_kit: Command, tmp_path: Path, mini: Path) -> None:
    split = ["--split", "train=10"]
    first = iodine_kit("prepare", "tetrominoes", "--source", mini, *split).stdout
    done = iodine_kit("prepare", "tetrominoes", "--source", mini.as_uri(), *split)
    assert done.stdout == first and "up to date" in done.stderr


def test_published_splits_are_not_mixed(iodine_kit: Command, tmp_path: Path) -> None:
    for split, shade in {"test": 100, "train": 10, "val": 50}.items():
        for number in range(3):
            picture(tmp_path / "own" / split / f"{number}.png", shade + number)
    iodine_kit("prepare", "folder", "--source", "own", "--split", "train=2", "--split", "test=1")
    for split, shades in {"train": [10, 11], "test": [100]}.items():
        reader = FORMATS.load("hdf5").open_split(only(tmp_path / "data"), split)
        assert [int(reader.scene(index).image[0, 0, 0]) for index in range(len(reader))] == shades
    message = iodine_kit("prepare", "folder", "--source", "own", "--split", "train=4", status=8).stderr
    assert "it lacks 1 of 4 for 'train'" in message


def test_a_shard_that_changes_between_two_runs_is_an_error(iodine_kit: Command, tmp_path: Path) -> None:
    (tmp_path / "discs.py").write_text(PLUGIN)
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "stubborn.py").write_text(STUBBORN)
    command = ["prepare", "plugins.stubborn", "--generate", 200, "--set", "format.scenes_per_shard=40"]
    iodine_kit(*command, status=5)
    (shard,) = (tmp_path / "data" / "dataset").glob(".*/train-000000.h5")
    shard.write_bytes(shard.read_bytes()[:-1])
    (tmp_path / "repaired").touch()
    assert "train-000000.h5: this finished shard was changed" in iodine_kit(*command, status=11).stderr
    iodine_kit(*command, "--overwrite")


def test_a_run_does_not_resume_with_another_version_of_the_renderer(iodine_kit: Command, tmp_path: Path) -> None:
    (tmp_path / "discs.py").write_text(PLUGIN)
    (tmp_path / "plugins").mkdir()
    made_with = "\n\ndef made_with(config):\n    return {'renderer': Path('version').read_text()}\n"
    (tmp_path / "plugins" / "stubborn.py").write_text(STUBBORN + made_with)
    (tmp_path / "version").write_text("1.0")
    command = ["prepare", "plugins.stubborn", "--generate", 200]
    iodine_kit(*command, status=5)
    (tmp_path / "repaired").touch()
    (tmp_path / "version").write_text("2.0")
    assert 'renderer: "1.0" -> "2.0"' in iodine_kit(*command, status=12).stderr
    (tmp_path / "version").write_text("1.0")
    iodine_kit(*command)
    assert facts(tmp_path / "data")["origin"]["made_with"] == {"renderer": "1.0"}  # type: ignore[index]


def test_an_error_of_a_plugin_in_a_worker_is_reported_unchanged(tmp_path: Path) -> None:
    (tmp_path / "discs.py").write_text(PLUGIN)
    (tmp_path / "odd.py").write_text(
        "from discs import *\n\n\nclass Odd(Exception):\n    def __init__(self, what, why):\n"
        "        super().__init__(f'{what}: {why}')\n\n\n"
        "def generate(config, rng, key):\n    raise Odd('lamp', 'broken')\n"
    )
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "odd.py").write_text((tmp_path / "odd.py").read_text())
    command = [sys.executable, "-m", "iodine_kit", "prepare", "here.odd", "--generate", "20", "--workers", "2"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "lamp: broken" in done.stderr and "memory" not in done.stderr


MORTAL = """
import os
from pathlib import Path
from discs import *
from discs import generate as draw


def generate(config, rng, key):
    mark = Path("killed")
    if key == "train-00000130" and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), 9)
    return draw(config, rng, key)
"""


def test_only_the_block_of_a_killed_worker_is_processed_again(iodine_kit: Command, tmp_path: Path) -> None:
    (tmp_path / "discs.py").write_text(PLUGIN)
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "mortal.py").write_text(MORTAL)
    command = ["prepare", "plugins.mortal", "--generate", 400, "--set", "format.scenes_per_shard=90"]
    assert "a worker was lost" in iodine_kit(*command, "--workers", 2).stderr
    iodine_kit(*command, "--store", "whole")
    assert digests(only(tmp_path / "whole")) == digests(only(tmp_path / "data"))


def test_a_third_party_data_set_can_be_read_from_a_folder_of_images(iodine_kit: Command, tmp_path: Path) -> None:
    (tmp_path / "birds").mkdir()
    (tmp_path / "birds" / "garden.py").write_text(PLUGIN)
    for shade in (3, 4):
        picture(tmp_path / "own" / f"{shade}.png", shade)
    command = ["prepare", "birds.garden", "--set", "prepare.layout=folder", "--source", "own", "--format", "webdataset"]
    iodine_kit(*command)
    keys = FORMATS.load("webdataset").open_split(only(tmp_path / "data"), "train").keys()
    assert keys == ["3", "4"]


def test_a_broken_third_party_package_does_not_affect_other_data_sets(tmp_path: Path, mini: Path) -> None:
    metadata = tmp_path / "site" / "broken-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[iodine_kit.datasets]\nbroken = not_there\n")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    run = [sys.executable, "-m", "iodine_kit"]
    prepare = [*run, "prepare", "tetrominoes", "--source", str(mini), "--split", "train=10", "--store", str(tmp_path)]
    for command, status in ((prepare, 0), ([*run, "datasets"], 0), ([*run, "prepare", "broken"], 4)):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == status and "Traceback" not in done.stderr, done.stderr
