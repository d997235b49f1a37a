"""Options that several commands share, and how they become configuration and artifacts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from iodine_kit.config import Values
    from iodine_kit.progress import Reporter
    from iodine_kit.store import Artifact, Store


def check_output(output: Path | None) -> None:
    """Refuse a directory where a file is needed: before work that takes long, not after it."""
    if output is not None and output.is_dir():
        raise typer.BadParameter(f"{output} is a directory: name a file", param_hint="--output")


def hand_over(page: Path, output: Path | None) -> str:
    """Where the page lies, after copying it to ``output`` if that was asked for."""
    import shutil

    from iodine_kit.cli.console import Terminal

    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        page = Path(shutil.copyfile(page, output))
    Terminal().note(f"open {page.resolve().as_uri()}")
    return str(page)


DEFAULT_STORE = Path("data")
StoreOption = Annotated[
    Path, typer.Option("--store", envvar="IODINE_KIT_STORE", metavar="DIR", help="Directory of all artifacts.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of the artifact's path.")]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Make it anew even if it is up to date.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="TABLE.KEY=VALUE", help="Override one value of the configuration (repeatable)."),
]
PipelineOption = Annotated[
    str | None, typer.Option("--pipeline", metavar="FILE|NAME", help="Take the configuration from a pipeline file.")
]
OutputOption = Annotated[Path | None, typer.Option("--output", metavar="FILE", help="Also copy the page here.")]
DatasetOption = Annotated[
    str | None,
    typer.Option(
        "--dataset", metavar="ARTIFACT", help="Data set; left out, train takes the newest, infer the run's own."
    ),
]


def tables_of(pipeline: str | None, settings: list[str] | None, names: tuple[str, ...]) -> dict[str, Values]:
    """A stage's tables: from a pipeline file, if one is named, with the overrides on top."""
    from iodine_kit.config import parse_overrides
    from iodine_kit.pipeline import load, override

    tables: dict[str, Any] = load(pipeline) if pipeline else {}
    return override({name: tables.get(name, {}) for name in names}, parse_overrides(settings or [], names))


def splits_of(texts: list[str] | None) -> dict[str, int]:
    """``["train=1000"]`` as ``{"train": 1000}``."""
    splits: dict[str, int] = {}
    for text in texts or []:
        name, equals, count = text.partition("=")
        if not equals or not count.isdecimal():
            raise typer.BadParameter(f"'{text}' is not NAME=N, for example train=1000", param_hint="--split")
        if name in splits:
            raise typer.BadParameter(f"split '{name}' is given twice", param_hint="--split")
        splits[name] = int(count)
    return splits


def store_at(path: Path) -> Store:
    """The store in a directory."""
    from iodine_kit.store import Store

    return Store(path)


def input_artifact(
    store: Store,
    place: str | None,
    kind: str,
    command: str,
    split: str | None = None,
    reporter: Reporter | None = None,
    of: str | None = None,
    suits: Callable[[Artifact], bool] = lambda found: True,
) -> Artifact:
    """The artifact that was named, or the newest of its kind without a purpose of its own; ``command`` makes one.

    Args:
        split: of a data set that is looked for; ``of`` is that data set's name, if only one will do.
        suits: what else it has to be; if none is, the newest is taken, and will be refused with a reason.
    """
    from iodine_kit.cli.console import Terminal
    from iodine_kit.errors import ArtifactNotFoundError

    if place:
        return store.usable(store.open(place, kind))

    def fits(found: Artifact) -> bool:
        named = of is None or found.facts["info"]["dataset"] == of
        return not found.purpose and named and (split is None or split in found.facts["splits"]) and suits(found)

    artifact = store.newest(kind, command, fits)
    if of is not None and artifact.facts["info"]["dataset"] != of:
        raise ArtifactNotFoundError(
            f"{store.root} holds no '{of}', which the pipeline file is for: make one with "
            f"'iodine-kit prepare --pipeline FILE', or name another data set with --dataset"
        )
    (reporter or Terminal()).note(f"using {kind} {artifact.path}")
    return artifact


def has_latents(predictions: Artifact) -> bool:
    """Whether latents were stored with predictions."""
    from iodine_kit.predictions.file import PREDICTIONS, PredictionReader

    return "latent_loc" in PredictionReader(predictions.path / PREDICTIONS).fields()


def prepared_by(pipeline: str | None) -> str | None:
    """Name of the data set that a pipeline file prepares, if there is a file and it does."""
    from iodine_kit.pipeline import load

    prepared = load(pipeline).get("prepare", {}).get("dataset") if pipeline else None
    return None if prepared is None else str(prepared)


def parent(store: Store, artifact: Artifact, role: str) -> Artifact:
    """The input that an artifact was made from."""
    return store.resolve(artifact.manifest.identity.inputs[role])
