"""What an error about a damaged artifact tells the user to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from iodine_kit.errors import ArtifactCorruptError
from iodine_kit.store import Artifact, Identity, Reference, Store

RUN = Reference(kind="run", name="toy", key="ab12cd34ef567890")


def made(root: Path, *command: str, stage: str = "infer") -> Artifact:
    what = Identity(kind="predictions", name="toy", stage=stage, version=1, inputs={"run": RUN})
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
        ("iodine-kit run p.toml --force train --json", "delete PATH, and repeat: iodine-kit run p.toml"),
        (
            "iodine-kit run p --store=old --overwrite",
            "delete PATH, and repeat: iodine-kit run --store ROOT p",
        ),
        ("iodine-kit study seeds", "delete PATH, and repeat: iodine-kit study seeds"),
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


def test_files_of_the_user_are_moved_out_of_the_folder(tmp_path: Path) -> None:
    artifact = made(tmp_path, "iodine-kit", "infer", "--run", "ab12")
    (artifact.path / "notes.txt").touch()
    assert refused(artifact, "--overwrite") == "notes.txt is not listed in the manifest; move it out of the folder"
    (artifact.path / "a.txt").write_text("other")
    assert refused(artifact, "--overwrite") == (
        "notes.txt is not listed in the manifest; a.txt was altered: its sha256 differs from the one in the manifest; "
        "move what is not listed out of the folder, and rebuild it with --overwrite"
    )
