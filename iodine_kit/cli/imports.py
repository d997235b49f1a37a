"""The commands that take in what others made: predictions of their models, and released weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from iodine_kit.cli.options import (
    DEFAULT_STORE,
    JsonOption,
    OverwriteOption,
    SetOption,
    StoreOption,
    input_artifact,
    store_at,
    tables_of,
)

if TYPE_CHECKING:
    from iodine_kit.config import Values
    from iodine_kit.store import Artifact, Store

MappingOption = Annotated[
    Path | None,
    typer.Option("--mapping", metavar="FILE.toml", help="Which arrays of others' file are what: its table \\[import]."),
]
ModelOption = Annotated[str | None, typer.Option("--model", metavar="NAME", help="Name of the model that predicted.")]
SplitOption = Annotated[str | None, typer.Option("--split", help="Split that was predicted; left out, test.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command("import-checkpoint")(import_checkpoint)
    app.command("import-predictions")(import_predictions)


def import_checkpoint(
    checkpoint: Annotated[
        str,
        typer.Argument(
            metavar="CHECKPOINT",
            help="deepmind:clevr6, deepmind:multi-dsprites, deepmind:tetrominoes; or an .index file, prefix or folder.",
        ),
    ],
    source: Annotated[
        str | None,
        typer.Option(metavar="FILE|URL", help="Archive of DeepMind's checkpoints; left out, it is downloaded once."),
    ] = None,
    preset: Annotated[
        str | None, typer.Option(metavar="NAME", help="Released net it is of; left out, the variables' shapes tell.")
    ] = None,
    settings: SetOption = None,
    store: StoreOption = DEFAULT_STORE,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make a run of IODINE's released weights, a TensorFlow checkpoint, without TensorFlow.

    infer, traverse and report take the run like a trained one. Keys to --set: model.slots, model.steps, model.latent, …
    """
    from iodine_kit.cli.console import Terminal, emit
    from iodine_kit.runner import Context, obtain
    from iodine_kit.stages import import_checkpoint as stage
    from iodine_kit.stages.import_checkpoint import open_checkpoint

    tables = tables_of(None, settings, stage.TABLES)
    if preset is not None:
        tables["model"]["preset"] = preset
    context = Context(store_at(store), Terminal(), overwrite)
    opened = open_checkpoint(checkpoint, source, context)
    artifact = obtain(stage.plan(tables, {}, context, opened), context)
    emit(artifact, as_json, **artifact.facts)


def import_predictions(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="A .npz, .npy or HDF5 file, or a folder of PNG index masks.")
    ],
    dataset: Annotated[
        str | None, typer.Option(metavar="ARTIFACT", help="Data set that was predicted; left out, the newest.")
    ] = None,
    split: SplitOption = None,
    model: ModelOption = None,
    mapping: MappingOption = None,
    settings: SetOption = None,
    store: StoreOption = DEFAULT_STORE,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Take in masks that another model predicted, so that eval, compare and report treat them like ours.

    Keys to --set: import.mask, import.soft_mask, import.key, import.axes, import.values, import.order, …
    """
    from iodine_kit.cli.console import emit

    tables = mapping_tables(mapping, settings, split, model)
    artifact = imported(store_at(store), Path(source), dataset, tables, overwrite=overwrite)
    emit(artifact, as_json, **artifact.facts)


def mapping_tables(
    mapping: Path | None, settings: list[str] | None, split: str | None, model: str | None
) -> dict[str, Values]:
    """The table [import] of a file, with ``--set`` and the options on top."""
    from iodine_kit.config import merge, parse_overrides, read_toml
    from iodine_kit.errors import ConfigError, did_you_mean

    given: dict[str, Any] = read_toml(mapping) if mapping else {}
    for name in given:
        if name != "import" or not isinstance(given[name], dict):
            raise ConfigError(f"{mapping}: '{name}' is not the table [import]{did_you_mean(name, ['import'])}")
    tables = merge({"import": {}, **given}, parse_overrides(settings or [], ["import"]))
    options = {"split": split, "model": model}
    tables["import"] |= {key: value for key, value in options.items() if value is not None}
    return tables


def is_foreign(store: Store, place: str | None) -> bool:
    """Whether ``place`` is a file or folder, and none of the store's artifacts."""
    from iodine_kit.store.manifest import MANIFEST

    if not place or (store.root / place / MANIFEST).is_file():
        return False
    path = Path(place)
    return path.is_file() or (path.is_dir() and not (path / MANIFEST).is_file())


def imported(
    store: Store, source: Path, dataset: str | None, tables: dict[str, Values], *, overwrite: bool = False
) -> Artifact:
    """The predictions artifact of others' file, made now unless it is there; unnamed, a model is called as its file."""
    from iodine_kit.cli.console import Terminal
    from iodine_kit.runner import Context, obtain
    from iodine_kit.stages import import_predictions as stage

    if "model" not in tables["import"]:
        tables["import"] |= {"model": source.resolve().stem, "named": False}
    config = stage.configure(tables)
    data = input_artifact(store, dataset, "dataset", "iodine-kit prepare", config.split)
    context = Context(store, Terminal(), overwrite)
    return obtain(stage.plan(tables, {"dataset": data}, context, source), context)
