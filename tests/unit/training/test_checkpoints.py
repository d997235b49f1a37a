"""Checkpoint files: complete or absent, as many as configured, and refused with one sentence if they do not fit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from unit.training.toy_model import Batches, Mean, Notes, result, trainer

from iodine_kit.errors import ArtifactCorruptError, ResumeError, SchemaError
from iodine_kit.training.checkpoint import Checkpoint, decode, encode, fill, read_weights, save_weights
from iodine_kit.training.run_files import METRICS, checkpoint_name, read_metrics, write_atomically

NEWEST = checkpoint_name(10)


def crashed(directory: Path, **options: object) -> None:
    """Leave a run that crashed in step 11, with a checkpoint every second step."""

    def crash() -> None:
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        trainer(directory, checkpoint_every=2, **options).run(Batches({10: crash}))


def test_after_a_crash_the_run_resumes_from_its_newest_checkpoint(tmp_path: Path) -> None:
    trainer(tmp_path / "whole").run(Batches())
    crashed(tmp_path / "crashed")
    notes = Notes()
    resumed = trainer(tmp_path / "crashed", notes=notes)
    assert (resumed.step, notes.texts) == (10, ["resuming after step 10"])
    resumed.run(Batches())
    assert result(tmp_path / "whole") == result(tmp_path / "crashed")


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_as_many_checkpoints_are_kept_as_configured(tmp_path: Path, keep: int) -> None:
    crashed(tmp_path, keep=keep)
    assert sorted(path.name for path in tmp_path.glob("checkpoint-*")) == [
        checkpoint_name(step) for step in (6, 8, 10)[-keep:]
    ]


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(bytes(data))


def foreign(path: Path) -> None:
    save_file({"weight": torch.zeros(3)}, path)


def text(path: Path) -> None:
    path.write_text("this text is not a checkpoint, but it is longer than the header of one")


DAMAGE = [
    (cut, "cannot be read as safetensors"),
    (empty, "cannot be read as safetensors"),
    (text, "cannot be read as safetensors"),
    (flipped, "the checkpoint is damaged: checksum mismatch"),
    (foreign, "contains tensors, but is not a checkpoint of iodine-kit"),
]


@pytest.mark.parametrize(("damage", "message"), DAMAGE)
def test_a_damaged_checkpoint_is_named_and_an_older_one_used(
    tmp_path: Path, damage: Callable[[Path], None], message: str
) -> None:
    trainer(tmp_path / "whole").run(Batches())
    crashed(tmp_path / "run")
    damage(tmp_path / "run" / NEWEST)
    notes = Notes()
    resumed = trainer(tmp_path / "run", notes=notes)
    assert resumed.step == 8
    first, second = notes.texts
    assert first.startswith(f"note: {tmp_path / 'run' / NEWEST}: {message}")
    assert first.endswith(f"; it is removed, and {checkpoint_name(8)} is used instead")
    assert second == "resuming after step 8"
    resumed.run(Batches())
    assert result(tmp_path / "whole") == result(tmp_path / "run")


@pytest.mark.parametrize(("damage", "message"), DAMAGE)
def test_without_an_older_checkpoint_the_error_names_the_option(
    tmp_path: Path, damage: Callable[[Path], None], message: str
) -> None:
    crashed(tmp_path, keep=1)
    damage(tmp_path / NEWEST)
    with pytest.raises(ArtifactCorruptError) as caught:
        trainer(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / NEWEST}: {message}")
    assert str(caught.value).endswith("; there is no older checkpoint: use --overwrite to start from the beginning")
    assert (tmp_path / NEWEST).exists()


def test_every_changed_byte_is_detected() -> None:
    """A file with a changed bit, in tensors or in facts, is refused."""
    data = encode(Checkpoint({"a": torch.arange(3.0), "b": torch.tensor(7)}, {"step": 12}))
    assert decode(data, Path("x")).facts == {"step": 12}
    for place in range(len(data)):
        altered = data[:place] + bytes([data[place] ^ 2]) + data[place + 1 :]
        try:
            found = decode(altered, Path("x"))
        except ArtifactCorruptError:
            continue
        # A space in the header's padding may change into another character without a meaning.
        assert found.facts == {"step": 12} and found.tensors["a"].tolist() == [0, 1, 2]


def test_another_architecture_is_refused_with_the_first_field_that_differs(tmp_path: Path) -> None:
    crashed(tmp_path, settings={"model": {"slots": 4, "latent": 8}})
    with pytest.raises(
        ResumeError,
        match=r"^checkpoint-000000010.safetensors belongs to another architecture \(model.latent: 8 -> 16\)",
    ):
        trainer(tmp_path, settings={"model": {"slots": 5, "latent": 16}})


def test_a_checkpoint_of_another_run_of_the_same_model_is_refused(tmp_path: Path) -> None:
    crashed(tmp_path, settings={"model": {"slots": 4}, "train": {"seed": 1}})
    with pytest.raises(ResumeError, match=r"belongs to another run \(train.seed: 1 -> 2\): use --overwrite to start"):
        trainer(tmp_path, settings={"model": {"slots": 4}, "train": {"seed": 2}})


def test_another_architecture_is_refused_with_the_first_tensor_if_all_fields_agree(tmp_path: Path) -> None:
    crashed(tmp_path)
    with pytest.raises(ResumeError, match=r"\('weights/weight' is \[3\] in the file and \[1\] in this model\)"):
        trainer(tmp_path, Mean(1))


def test_a_failed_write_leaves_the_old_file_unchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file.safetensors"
    write_atomically(path, b"old")

    def no_space(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", no_space)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, b"new, and longer")
    assert path.read_bytes() == b"old"


def test_incomplete_and_surplus_rows_after_a_crash_are_removed(tmp_path: Path) -> None:
    trainer(tmp_path / "whole").run(Batches())
    crashed(tmp_path / "run")
    with (tmp_path / "run" / METRICS).open("a") as file:
        file.write(json.dumps({"step": 11}) + '\n{"step": 12, "lo')
    trainer(tmp_path / "run").run(Batches())
    assert result(tmp_path / "whole") == result(tmp_path / "run")


def without_first_row(path: Path) -> None:
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[1:]))


def remove(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("damage", [cut, empty, flipped, remove, without_first_row])
def test_a_damaged_log_is_restored_from_the_checkpoint_with_a_note(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    trainer(tmp_path / "whole").run(Batches())
    crashed(tmp_path / "run")
    path = tmp_path / "run" / METRICS
    damage(path)
    notes = Notes()
    trainer(tmp_path / "run", notes=notes).run(Batches())
    assert notes.texts[1:] == [f"note: {path}: was changed or removed; restored from the checkpoint"]
    assert result(tmp_path / "whole") == result(tmp_path / "run")


def test_the_log_of_an_older_checkpoint_is_restored_if_the_newest_one_is_damaged(tmp_path: Path) -> None:
    trainer(tmp_path / "whole").run(Batches())
    crashed(tmp_path / "run")
    cut(tmp_path / "run" / NEWEST)
    notes = Notes()
    trainer(tmp_path / "run", notes=notes).run(Batches())
    assert len(notes.texts) == 2  # about the checkpoint: surplus rows are normal
    assert result(tmp_path / "whole") == result(tmp_path / "run")


@pytest.mark.parametrize("damage", [b"\0" * 40, b'{"step": 3, "lo', b"\xff\xfe", b"[]", b"7", b'{"loss": 1.0}'])
def test_a_checkpoint_of_an_earlier_version_keeps_the_rows_before_a_damaged_one(tmp_path: Path, damage: bytes) -> None:
    """A loss of power can leave such a row in the middle, complete with its newline."""
    crashed(tmp_path)
    newest = decode((tmp_path / NEWEST).read_bytes(), tmp_path)
    tensors = {name: tensor for name, tensor in newest.tensors.items() if not name.startswith("log/")}
    write_atomically(tmp_path / NEWEST, encode(Checkpoint(tensors, newest.facts)))
    path = tmp_path / METRICS
    lines = path.read_bytes().splitlines(keepends=True)
    lines[2] = damage + b"\n"
    path.write_bytes(b"".join(lines))
    assert [row["step"] for row in read_metrics(path)] == [1, 2]
    notes = Notes()
    trainer(tmp_path, notes=notes).run(Batches())
    assert f"note: {path}: line 3 is damaged: this line and all later ones are omitted" in notes.texts
    assert [row["step"] for row in read_metrics(path)] == [1, 2, 11, 12]


def test_weights_of_another_network_damaged_files_and_types_that_are_not_real_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_weights(path, nn.Linear(2, 2).state_dict())
    assert load_file(path).keys() == {"weight", "bias"}
    with pytest.raises(SchemaError, match=r"do not fit the model: 'weight' is \[2, 2\] in the file and \[3\] in"):
        fill(Mean(), read_weights(path.read_bytes(), path).tensors, "here")
    with pytest.raises(ArtifactCorruptError, match="cannot be read as safetensors"):
        read_weights(path.read_bytes()[:40], path)
    for kind in (torch.int32, torch.complex64, torch.float8_e4m3fn):
        others = {name: tensor.to(kind) for name, tensor in Mean().state_dict().items()}
        with pytest.raises(SchemaError, match=r"'weight' has the type torch\..*, but weights are real numbers"):
            fill(Mean(), others, "here")


@pytest.mark.parametrize("facts", [{}, {"step": 1, "best": {}}, {"step": 1, "settings": {"model": 3, "train": {}}}])
def test_a_checkpoint_with_unknown_facts_is_refused(tmp_path: Path, facts: dict[str, Any]) -> None:
    data = encode(Checkpoint({"weights/weight": torch.zeros(3)}, facts))
    with pytest.raises(ArtifactCorruptError, match="not a checkpoint that this version can read"):
        read_weights(data, tmp_path / "checkpoint.safetensors")
