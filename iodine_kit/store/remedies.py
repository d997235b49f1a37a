"""What to do about a damaged artifact: the command that made it, as its manifest records it, makes it again."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from iodine_kit.errors import ArtifactCorruptError
from iodine_kit.store.artifact import Artifact
from iodine_kit.store.manifest import NOT_LISTED

ARRIVED = ".arrived"
"""Hidden file in an artifact that was copied from elsewhere: the name of the command that copies it again."""
ASK = "'iodine-kit verify ARTIFACT' says how to make it again"
"""What to do about a damaged artifact if only one of its files is known."""
_PROGRAMS = ("iodine-kit", "__main__.py")
"""Names of this program in ``made.command``; the second one for ``python -m iodine_kit``."""
_PRIMARY = {
    "train": ("dataset", "--dataset"), "infer": ("run", "--run"), "eval": ("predictions", "--predictions"),
    "probe": ("predictions", "--predictions"), "traverse": ("predictions", "--predictions"),
    "report": ("evaluation", "--evaluation"),
}  # fmt: skip
"""Command → role and option of the input that it would choose anew if it is repeated."""
_OWN = frozenset({*_PRIMARY, "prepare", "stats", "compare", "study", "import-predictions", "import-checkpoint"})
"""Commands whose ``--overwrite`` makes their artifact again."""
_ONCE = {"--store": 1, "--force": 1, "--overwrite": 0, "--json": 0}
"""Options that a repeated command must not have, and the number of their values."""


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


def refuse_damaged(artifacts: Sequence[Artifact]) -> None:
    """Look at the manifests of artifacts and at the sizes of their files, before they are copied elsewhere.

    Raises:
        ArtifactCorruptError: naming the first damaged artifact, and what to do.
    """
    for artifact in artifacts:
        if problems := artifact.problems(hash_up_to=0):
            raise damage_error(artifact, problems)


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
    with suppress(OSError, UnicodeDecodeError):
        return copy_again(artifact.path, (artifact.path / ARRIVED).read_text("utf-8"))
    words, stage = artifact.manifest.made.get("command", []), artifact.manifest.identity.stage
    if len(words) < 2 or words[0] not in _PROGRAMS or words[1] not in {*_OWN, "run"}:
        return f"repeat the {stage} that made it, with --overwrite"
    command = words[1]
    store = ["--store", str(artifact.path.parent.parent)] if _has_option(words, "--store") else []
    repeated = ["iodine-kit", command, *store, *_repeatable(words[2:])]
    if command != stage:  # it makes other artifacts, too, which --overwrite or --force would make again
        return f"delete {artifact.path}, and repeat: {shlex.join(repeated)}"
    return f"rebuild it: {shlex.join([*repeated, *_input(artifact, words), '--overwrite'])}"


def _input(artifact: Artifact, words: Sequence[str]) -> list[str]:
    """The option for the input that the command chose itself."""
    role, option = _PRIMARY.get(words[1], ("", ""))
    reference = artifact.manifest.identity.inputs.get(role)
    return [] if reference is None or _has_option(words, option) else [option, reference.directory]


def _repeatable(words: Sequence[str]) -> Iterator[str]:
    """The arguments of a command without those that belong to the store, to the output, or to one call."""
    skip = 0
    for word in words:
        option, equals, _ = word.partition("=")
        if skip:
            skip -= 1
        elif option in _ONCE:
            skip = 0 if equals else _ONCE[option]
        else:
            yield word


def _has_option(words: Sequence[str], option: str) -> bool:
    return any(word.partition("=")[0] == option for word in words)


def mark_arrived(folder: Path, verb: str) -> None:
    """Record in the folder of an artifact which command copied it from elsewhere: ``pull`` or ``unpack``."""
    (folder / ARRIVED).write_text(verb, "utf-8")
