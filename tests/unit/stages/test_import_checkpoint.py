"""Checkpoints of the released code become runs: which net it is, where it comes from, and what does not fit."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden.recipe import RELEASE, numbers, variables
from unit.stages.released import FOLDERS, archive, checkpoint
from unit.tensorbundle import writer

from iodine_kit.artifacts.trained_model import load_model
from iodine_kit.errors import ConfigError, CorruptDataError, IodineKitError, SchemaError, SourceError, UnknownNameError
from iodine_kit.models.iodine import released
from iodine_kit.runner import Context, obtain
from iodine_kit.stages import import_checkpoint
from iodine_kit.stages.import_checkpoint import open_checkpoint
from iodine_kit.store import Artifact, Store

GENUINE = RELEASE / "tetrominoes.ckpt-1000000.index"


def imported(store: Path, name: object, source: object = None, **model: Any) -> Artifact:
    context = Context(Store(store))
    opened = open_checkpoint(str(name), None if source is None else str(source), context)
    return obtain(import_checkpoint.plan({"model": model}, {}, context, opened), context)


@pytest.fixture(scope="module")
def zipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return archive(tmp_path_factory.mktemp("deepmind") / "iodine_checkpoints.zip")


def test_every_weight_is_the_checkpoint_s_bit_for_bit(tmp_path: Path) -> None:
    run = imported(tmp_path, GENUINE)
    weights, net = load_model(run).state_dict(), released.counterparts(load_model(run).config)
    made = variables(numbers("tetrominoes"))
    assert set(made) == set(net) and len(weights) == len(net)
    for name, value in made.items():
        found = weights[net[name].parameter].contiguous().numpy()
        assert found.dtype == np.float32 and found.tobytes() == value.transpose(net[name].axes).tobytes(), name
    assert run.facts == {
        "dataset": "tetrominoes", "preset": "release-tetrominoes", "checkpoint": "tetrominoes.ckpt-1000000",
        "steps": 1_000_000, "parameters": 199_568,
    }  # fmt: skip


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_net_is_found_by_its_shapes_and_is_the_same_from_an_archive(
    folder: str, zipped: Path, tmp_path: Path
) -> None:
    released_name, parameters = folder.replace("_", "-"), {"clevr6": 1_177_168, "multi_dsprites": 339_152}
    of_files = imported(tmp_path, zipped.parent / "unpacked" / folder)
    of_archive = imported(tmp_path, f"deepmind:{released_name}", zipped)
    assert of_files.path == of_archive.path and of_files.facts["preset"] == f"release-{released_name}"
    assert of_files.facts["parameters"] == parameters.get(folder, 199_568)
    assert [source.name for source in of_files.manifest.identity.sources] == [
        "model.ckpt.index", "model.ckpt.data-00000-of-00002", "model.ckpt.data-00001-of-00002",
    ]  # fmt: skip
    assert load_model(of_files).config.slots == {"clevr6": 7, "multi_dsprites": 6}.get(folder, 4)


def test_nothing_of_an_archive_is_extracted(zipped: Path, tmp_path: Path) -> None:
    before = sorted(zipped.parent.rglob("*"))
    imported(tmp_path / "data", "deepmind:clevr6", zipped)
    assert sorted(zipped.parent.rglob("*")) == before
    assert not [path for path in tmp_path.rglob("*") if "evil" in path.name]


@pytest.mark.parametrize("root", ["iodine/checkpoints", "checkpoints", "."])
def test_the_archive_may_have_any_folder_above(root: str, zipped: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(zipped) as old, zipfile.ZipFile(tmp_path / "new.zip", "w") as new:
        for info in old.infolist():
            if info.filename.startswith("checkpoints/tetrominoes/"):
                new.writestr(info.filename.replace("checkpoints", root, 1), old.read(info))
    assert imported(tmp_path / "data", "deepmind:tetrominoes", tmp_path / "new.zip").facts["steps"] == 1_000_000


def test_slots_and_steps_may_be_others(tmp_path: Path) -> None:
    assert load_model(imported(tmp_path, GENUINE, slots=6, steps=3)).config.slots == 6


def test_another_net_than_the_released_ones_can_be_described(tmp_path: Path) -> None:
    wide = {"pixel_decoder/broadcast_conv/conv_net_2d/conv_2d_4/w": np.zeros((5, 5, 48, 4), np.float32)}
    wide["pixel_decoder/broadcast_conv/conv_net_2d/conv_2d_3/w"] = np.zeros((5, 5, 32, 48), np.float32)
    wide["pixel_decoder/broadcast_conv/conv_net_2d/conv_2d_3/b"] = np.zeros(48, np.float32)
    index = checkpoint(tmp_path / "wide", "tetrominoes", **wide)
    with pytest.raises(
        SchemaError, match=r"fits none of the released networks; the nearest is release-tetrominoes, but '.*3/w' is"
    ):
        imported(tmp_path, index)
    decoder = {"channels": [32, 32, 32, 48]}
    with pytest.raises(SchemaError, match="fits none of the released networks"):
        imported(tmp_path, index, decoder=decoder)
    assert imported(tmp_path, index, preset="release-tetrominoes", decoder=decoder).facts["parameters"] > 199_568


def test_a_checkpoint_of_another_net_is_told(tmp_path: Path) -> None:
    with pytest.raises(
        SchemaError, match=r"not a checkpoint of the network release-clevr6: '.*' is \[64\] in .* and \[128\] in"
    ):
        imported(tmp_path, GENUINE, preset="release-clevr6")
    with pytest.raises(
        ConfigError, match=r"'release-clevr' is not a preset of the released networks; did you mean 'release-cl"
    ):
        imported(tmp_path, GENUINE, preset="release-clevr")
    with pytest.raises(ConfigError, match=r"model.slotss is not a known key; did you mean 'slots'"):
        imported(tmp_path, GENUINE, slotss=3)
    missing = checkpoint(tmp_path / "missing", "tetrominoes", **{"encoder_net/cnn/mlp/linear_0/b": None})
    with pytest.raises(SchemaError, match=r"'encoder_net/cnn/mlp/linear_0/b' is missing in the checkpoint"):
        imported(tmp_path, missing)
    more = checkpoint(tmp_path / "more", "tetrominoes", **{"encoder_net/cnn/mlp/linear_1/b": np.zeros(1, np.float32)})
    unused = "'encoder_net/cnn/mlp/linear_1/b' is in the checkpoint, but not in the network"
    with pytest.raises(SchemaError, match=unused):
        imported(tmp_path, more)
    with pytest.raises(SchemaError, match="contains no variable of the released IODINE"):
        imported(tmp_path, writer.write(tmp_path / "mnist", {"dense/kernel": np.zeros((2, 2), np.float32)}))


def test_a_deepmind_archive_with_another_net_in_a_folder_is_told(zipped: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "swapped.zip", "w") as new:
        for found in (zipped.parent / "unpacked" / "clevr6").iterdir():
            new.write(found, f"checkpoints/tetrominoes/{found.name}")
    with pytest.raises(SchemaError, match="not a checkpoint of the network release-tetrominoes"):
        imported(tmp_path, "deepmind:tetrominoes", tmp_path / "swapped.zip")


def test_weights_that_are_not_finite_and_steps_that_are_none_are_told(tmp_path: Path) -> None:
    name = "model/iodine/preprocess/layer_norm_dmask/beta"
    with pytest.raises(CorruptDataError, match=f"'{name}' contains values that are not finite"):
        imported(tmp_path, checkpoint(tmp_path / "nan", "tetrominoes", **{name: np.array([np.nan], np.float32)}))
    with pytest.raises(CorruptDataError, match="'global_step' is not a number of steps"):
        imported(tmp_path, checkpoint(tmp_path / "minus", "tetrominoes", global_step=np.int64(-1)))
    assert imported(tmp_path, checkpoint(tmp_path / "none", "tetrominoes", global_step=None)).facts["steps"] is None


def test_a_failed_import_leaves_nothing(tmp_path: Path) -> None:
    index = checkpoint(tmp_path / "model.ckpt", "tetrominoes", shards=2)
    data = tmp_path / "model.ckpt.data-00001-of-00002"
    data.write_bytes(b"\x77" + data.read_bytes()[1:])
    with pytest.raises(CorruptDataError, match=r"data-00001-of-00002: checksum mismatch for '.*'"):
        imported(tmp_path / "data", index)
    assert Store(tmp_path / "data").artifacts() == [] and not list((tmp_path / "data" / "run").glob(".*partial"))
    data.unlink()
    with pytest.raises(SourceError, match="this shard of the checkpoint is missing"):
        imported(tmp_path / "data", index)


def test_archives_that_do_not_fit_are_told(zipped: Path, tmp_path: Path) -> None:
    def refused(name: str, source: object, kind: type[IodineKitError], reason: str) -> None:
        with pytest.raises(kind, match=reason):
            imported(tmp_path / "data", name, source)

    refused(
        "deepmind:clevr", zipped, UnknownNameError, r"no checkpoint is called 'deepmind:clevr'; did you mean 'clevr6'"
    )
    refused("deepmind:clevr6", tmp_path / "no.zip", SourceError, "no such file; give --source the archive")
    refused(str(GENUINE), zipped, SourceError, r"is a path: omit one of them")
    bad = tmp_path / "bad.zip"
    bad.write_bytes(b"not a zip archive at all")
    refused("deepmind:clevr6", bad, CorruptDataError, r"bad.zip: no readable zip archive")
    bad.write_bytes(zipped.read_bytes()[:-5000])
    refused("deepmind:clevr6", bad, CorruptDataError, r"bad.zip: no readable zip archive")
    bad.unlink()
    with zipfile.ZipFile(bad, "w") as file:
        file.writestr("checkpoints/clevr6/readme.txt", "moved")
    refused("deepmind:clevr6", bad, SourceError, r"bad.zip: no folder 'clevr6' with a checkpoint")
    with zipfile.ZipFile(bad, "a") as file:
        file.writestr("a/clevr6/model.ckpt.index", "")
        file.writestr("b/clevr6/model.ckpt.index", "")
    refused("deepmind:clevr6", bad, SourceError, r"bad.zip: 2 folders 'clevr6'")
    bad.unlink()
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(bad, "w") as file:
        file.writestr("clevr6/model.ckpt.index", "1")
        file.writestr("clevr6/model.ckpt.index", "2")
    refused("deepmind:clevr6", bad, CorruptDataError, r"bad.zip: contains 'clevr6/model.ckpt.index' twice")


def test_an_altered_archive_is_told(zipped: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(zipped) as file:
        info = file.getinfo("checkpoints/clevr6/model.ckpt.data-00000-of-00002")
        place = info.header_offset + 200
    bad = tmp_path / "bad.zip"
    shutil.copy(zipped, bad)
    data = bytearray(bad.read_bytes())
    data[place : place + 40] = b"\xff" * 40
    bad.write_bytes(data)
    with pytest.raises(CorruptDataError, match=r"bad.zip: checkpoints/clevr6/model.ckpt.data.* cannot be decompressed"):
        imported(tmp_path / "data", "deepmind:clevr6", bad)
    data = bytearray(zipped.read_bytes())
    for start in (i for i in range(len(data)) if data[i : i + 4] == b"PK\x01\x02"):
        data[start + 8] |= 1  # every member says it is encrypted
    bad.write_bytes(data)
    with pytest.raises(CorruptDataError, match="cannot be decompressed"):
        imported(tmp_path / "data", "deepmind:clevr6", bad)
