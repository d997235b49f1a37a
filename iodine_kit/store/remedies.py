"""What to do about a damaged artifact: the command that made it, as its manifest records it, makes it again."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from iodine_kit.errors import ArtifactCorruptError
from iodine_kit.store.artifact import Artifact
from iodine_kit.store.manifest import MANIFEST, NOT_LISTED
from iodine_kit.system import sync_to_disk

ARRIVED = ".arrived"
"""Hidden file in an artifact that was copied from elsewhere: the name of the command that copies it again."""
ASK = "'iodine-kit verify ARTIFACT' says how to make it again"
"""What to do about a damaged artifact if only one of its files is known."""
_PROGRAMS = ("iodine-kit", "__main__.py")
"""Names of this program in ``made.command``; the second one for ``python -m iodine_kit``."""
_COPIES = ("pull", "unpack")
"""Commands that copy artifacts from elsewhere; another text in the file has no meaning."""
_INPUTS: Mapping[str, Mapping[str, str]] = {
    "train": {"dataset": "--dataset"},
    "infer": {"run": "--run", "dataset": "--dataset"},
    "eval": {"predictions": "--predictions", "truth": "--dataset"},
    "probe": {"predictions": "--predictions"},
    "traverse": {"predictions": "--predictions"},
    "report": {"evaluation": "--evaluation", "probe": "--probe", "traversal": "--traversal"},
    "import-predictions": {"dataset": "--dataset"},
}
"""Command → role and option of the inputs that it would choose anew if it is repeated."""
_OWN = frozenset({*_INPUTS, "prepare", "stats", "compare", "study", "import-checkpoint"})
"""Commands whose ``--overwrite`` makes their artifact again."""
_FORCED = frozenset({"prepare", "train", "infer", "eval", "probe", "traverse", "report"})
"""Stages that ``run --force`` makes again."""
_ONCE = {"--store": 1, "--force": 1, "--only": 1, "--overwrite": 0, "--json": 0}
"""Options that a repeated command must not have, and the number of their values."""
_VALUES = {"--set": 1, "--output": 1}
"""Options of ``stats`` with a value; what is left is the name of its data set."""


def damage_error(
    artifact: Artifact, problems: Sequence[str], *, again: str = "", copy: str = ""
) -> ArtifactCorruptError:
    """The error about a damaged artifact, with what to do.

    Args:
        problems: see :func:`iodine_kit.store.manifest.find_problems`.
        again: the option of the present command that makes the artifact again. Without one, the error names the command
            that made it.
        copy: the present command, if it copies the artifact from elsewhere: ``pull`` or ``unpack``.
    """
    rebuild = f"rebuild it with {again}" if again else copy_again(artifact.path, copy) if copy else ""
    return ArtifactCorruptError(f"{artifact.path}: {'; '.join(problems)}; {_remedy(artifact, problems, rebuild)}")


def refuse_damaged(*artifacts: Artifact, again: str = "") -> None:
    """Look at the manifests of artifacts and at the names and sizes of their files; hashes no file.

    Args:
        again: see :func:`damage_error`.

    Raises:
        ArtifactCorruptError: naming the first damaged artifact, and what to do.
    """
    for artifact in artifacts:
        if problems := artifact.problems(hash_up_to=-1):
            raise damage_error(artifact, problems, again=again)


def copy_again(folder: Path, command: str) -> str:
    """What to do about a damaged artifact that ``pull`` or ``unpack`` can copy."""
    return f"delete {folder}, and {command} it again"


def _remedy(artifact: Artifact, problems: Sequence[str], rebuild: str) -> str:
    own = [one for one in problems if one.endswith(NOT_LISTED)]
    if own and len(own) == len(problems):
        return f"move {'it' if len(own) == 1 else 'them'} out of the folder"
    rebuild = rebuild or make_again(artifact)
    return f"move what is not listed out of the folder, and {rebuild}" if own else rebuild


def make_again(artifact: Artifact) -> str:
    """How to make or copy a damaged artifact again."""
    if copy := _copied_by(artifact.path):
        return copy_again(artifact.path, copy)
    words, stage = artifact.manifest.made.get("command", []), artifact.manifest.identity.stage
    if len(words) < 2 or words[0] not in _PROGRAMS or words[1] not in {*_OWN, "run"}:
        return f"repeat the {stage} that made it, with --overwrite"
    command = words[1]
    store = ["--store", str(artifact.path.parent.parent)] if _has_option(words, "--store") else []
    before, after = ([], store) if command == "study" else (store, [])  # the group of studies has no --store itself
    repeated = ["iodine-kit", command, *before, *_repeatable(words[2:]), *_inputs(artifact, words), *after]
    if command == stage:
        return f"rebuild it: {shlex.join([*repeated, '--overwrite'])}"
    if command == "run" and stage in _FORCED:
        until = ["--until", stage] if _has_option(words, "--only") else []  # a part of a run, begun by the whole
        return f"rebuild it: {shlex.join([*repeated, *until, '--force', stage])}"
    # the command makes other artifacts, too, which --overwrite would make again
    return f"delete {artifact.path}, and repeat: {shlex.join(repeated)}"


def _copied_by(folder: Path) -> str:
    """The command that copied an artifact from elsewhere; empty if it was made here."""
    with suppress(OSError, UnicodeDecodeError):
        verb = (folder / ARRIVED).read_text("utf-8")
        return verb if verb in _COPIES else ""
    return ""


def _inputs(artifact: Artifact, words: Sequence[str]) -> list[str]:
    """The arguments for the inputs that the command chose itself."""
    command, inputs = words[1], artifact.manifest.identity.inputs
    if command == "eval" and _is_file(_value(words, "--predictions"), artifact.path.parent.parent):
        options: Mapping[str, str] = {"dataset": "--dataset"}  # the data set that the file belongs to
    elif command != artifact.manifest.identity.stage:
        return []
    elif command == "stats":
        named = any(not word.startswith("-") for word in _repeatable(words[2:], _ONCE | _VALUES))
        return [] if named or "dataset" not in inputs else [inputs["dataset"].directory]
    else:
        options = _INPUTS.get(command, {})
    chosen = {option: inputs[role] for role, option in options.items() if role in inputs}
    return [
        part
        for option, reference in chosen.items()
        if not _has_option(words, option)
        for part in (option, reference.directory)
    ]


def _is_file(place: str, store: Path) -> bool:
    """Whether ``--predictions`` names a third-party file or folder, and not an artifact."""
    folders = (Path(place), store / place)
    return bool(place) and os.path.lexists(place) and not any(os.path.lexists(one / MANIFEST) for one in folders)


def _value(words: Sequence[str], option: str) -> str:
    """The value of an option, or nothing."""
    for word, following in zip(words, [*words[1:], ""], strict=True):
        name, equals, value = word.partition("=")
        if name == option:
            return value if equals else following
    return ""


def _repeatable(words: Sequence[str], without: Mapping[str, int] = _ONCE) -> Iterator[str]:
    """The arguments of a command without those that belong to the store, to the output, or to one call."""
    skip = 0
    for word in words:
        option, equals, _ = word.partition("=")
        if skip:
            skip -= 1
        elif option in without:
            skip = 0 if equals else without[option]
        else:
            yield word


def _has_option(words: Sequence[str], option: str) -> bool:
    return any(word.partition("=")[0] == option for word in words)


def mark_arrived(folder: Path, verb: str) -> None:
    """Record in the folder of an artifact which command copied it from elsewhere: ``pull`` or ``unpack``.

    The record is on the disk at the end.
    """
    (folder / ARRIVED).write_text(verb, "utf-8")
    sync_to_disk(folder / ARRIVED)
