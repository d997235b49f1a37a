"""What an error about a damaged artifact tells the user to do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

from iodine_kit.errors import ArtifactCorruptError
from iodine_kit.store import Artifact, Identity, Reference, Store
from iodine_kit.store.remedies import ARRIVED, make_again, mark_arrived

RUN = Reference(kind="run", name="toy", key="ab12cd34ef567890")


def made(
    root: Path, *command: str, stage: str = "infer", inputs: Mapping[str, Reference] = MappingProxyType({"run": RUN})
) -> Artifact:
    what = Identity(kind="predictions", name="toy", stage=stage, version=1, inputs=dict(inputs))
    with Store(root).draft(what) as draft:
        (draft.path / "a.txt").write_text("hello")
        return draft.commit({}, {"command": list(command)})


def refused(artifact: Artifact, again: str = "") -> str:
    with pytest.raises(ArtifactCorruptError) as error:
        Store.of(artifact).usable(artifact, again)
    return str(error.value).removeprefix(f"{artifact.path}: ").replace(str(artifact.path), "PATH")


@pytest.mark.parametrize(
    ("command", "remedy"),
    [
        ("iodine-kit infer", "rebuild it: iodine-kit infer --run run/toy-ab12cd34ef56 --overwrite"),
        ("__main__.py infer --run ab12 --json", "rebuild it: iodine-kit infer --run ab12 --overwrite"),
        ("iodine-kit infer --run=ab12 --store old", "rebuild it: iodine-kit infer --store ROOT --run=ab12 --overwrite"),
        ("iodine-kit study seeds", "delete PATH, and repeat: iodine-kit study seeds"),
        ("iodine-kit study seeds --store=a", "delete PATH, and repeat: iodine-kit study seeds --store ROOT"),
        ("iodine-kit run p.toml --force train --json", "rebuild it: iodine-kit run p.toml --force infer"),
        ("iodine-kit run p --store=old --overwrite", "rebuild it: iodine-kit run --store ROOT p --force infer"),
        (
            "iodine-kit run p --matrix a.b=1,2 --member b=1 --only train --only=infer --force infer --store old --json",
            "rebuild it: iodine-kit run --store ROOT p --matrix a.b=1,2 --member b=1 --until infer --force infer",
        ),
        ("script.py infer", "repeat the infer that made it, with --overwrite"),
        ("iodine-kit", "repeat the infer that made it, with --overwrite"),
        ("", "repeat the infer that made it, with --overwrite"),
    ],
)
def test_the_remedy_names_the_command_that_made_the_artifact(command: str, remedy: str, tmp_path: Path) -> None:
    artifact = made(tmp_path, *command.split())
    (artifact.path / "a.txt").unlink()
    assert refused(artifact).replace(str(tmp_path), "ROOT") == f"a.txt is missing; {remedy}"
    assert refused(artifact, "--force infer") == "a.txt is missing; rebuild it with --force infer"


@pytest.mark.parametrize(
    ("command", "stage", "roles", "remedy"),
    [
        ("train", "train", "dataset", "train --dataset D --overwrite"),
        ("infer --model pretrained:a", "infer", "dataset", "infer --model pretrained:a --dataset D --overwrite"),
        ("infer", "infer", "dataset run", "infer --run R --dataset D --overwrite"),
        ("eval --metric ari", "eval", "predictions dataset", "eval --metric ari --predictions P --overwrite"),
        ("eval --predictions P", "eval", "predictions dataset truth", "eval --predictions P --dataset T --overwrite"),
        ("eval --predictions FILE", "eval", "predictions dataset", "eval --predictions FILE --dataset D --overwrite"),
        ("report", "report", "evaluation probe run", "report --evaluation E --probe O --overwrite"),
        ("import-predictions F", "import-predictions", "dataset", "import-predictions F --dataset D --overwrite"),
        ("stats --set a.b=c --json", "stats", "dataset", "stats --set a.b=c D --overwrite"),
        ("stats clevr", "stats", "dataset", "stats clevr --overwrite"),
        ("study seeds --store old", "study", "run-1 dataset", "study seeds --store ROOT --overwrite"),
        ("run p", "compare", "evaluation-1", "run p"),
        ("eval --predictions FILE", "import-predictions", "dataset", "eval --predictions FILE --dataset D"),
    ],
)
def test_the_remedy_names_the_inputs_that_the_command_chose(
    command: str, stage: str, roles: str, remedy: str, tmp_path: Path
) -> None:
    short = {"dataset": "D", "run": "R", "predictions": "P", "truth": "T", "evaluation": "E", "probe": "O"}
    file = tmp_path / "masks.npz"
    file.touch()
    inputs = {role: Reference(kind=role, name="toy", key="ab12cd34ef567890") for role in roles.split()}
    artifact = made(tmp_path, "iodine-kit", *command.replace("FILE", str(file)).split(), stage=stage, inputs=inputs)
    said = make_again(artifact).replace(str(file), "FILE").replace(str(tmp_path), "ROOT")
    for role, letter in short.items():
        said = said.replace(f"{role}/toy-ab12cd34ef56", letter)
    assert said.partition("iodine-kit ")[2] == remedy
    assert said.startswith("rebuild it: " if command.split()[0] == stage else "delete ")


@pytest.mark.parametrize("verb", ["pull", "unpack"])
def test_the_remedy_of_an_artifact_from_elsewhere_copies_it_again(verb: str, tmp_path: Path) -> None:
    artifact = made(tmp_path, "iodine-kit", "infer")
    mark_arrived(artifact.path, verb)
    assert make_again(artifact) == f"delete {artifact.path}, and {verb} it again"


@pytest.mark.parametrize("text", [b"", b"pul", b"\0" * 4, b"\xff", b"erase the disk"])
def test_a_mark_that_a_power_failure_or_a_hand_changed_counts_as_absent(text: bytes, tmp_path: Path) -> None:
    artifact = made(tmp_path, "iodine-kit", "infer", "--run", "ab12")
    (artifact.path / ARRIVED).write_bytes(text)
    assert make_again(artifact) == "rebuild it: iodine-kit infer --run ab12 --overwrite"


def test_the_mark_is_on_the_disk_before_the_artifact_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    monkeypatch.setattr("iodine_kit.store.remedies.sync_to_disk", synced.append)
    mark_arrived(tmp_path, "pull")
    assert synced == [tmp_path / ARRIVED]


def test_files_of_the_user_are_moved_out_of_the_folder(tmp_path: Path) -> None:
    artifact = made(tmp_path, "iodine-kit", "infer", "--run", "ab12")
    (artifact.path / "notes.txt").touch()
    assert refused(artifact, "--overwrite") == "notes.txt is not listed in the manifest; move it out of the folder"
    (artifact.path / "a.txt").write_text("other")
    assert refused(artifact, "--overwrite") == (
        "notes.txt is not listed in the manifest; a.txt was altered: its sha256 differs from the one in the manifest; "
        "move what is not listed out of the folder, and rebuild it with --overwrite"
    )
