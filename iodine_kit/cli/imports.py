"""The commands that import third-party results: predictions of other models, and released weights."""

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
from iodine_kit.system import to_path

if TYPE_CHECKING:
    from iodine_kit.config import Values
    from iodine_kit.store import Artifact, Store


def import_checkpoint(
    checkpoint: Annotated[
        str,
        typer.Argument(
            metavar="CHECKPOINT",
            help="deepmind:clevr6, deepmind:multi-dsprites or deepmind:tetrominoes; or an .index file, a prefix or "
            "a folder.",
        ),
    ],
    source: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|URL", help="Archive of DeepMind's checkpoints. Defaults to their address; downloaded once."
        ),
    ] = None,
    settings: SetOption = None,
    store: StoreOption = DEFAULT_STORE,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Import DeepMind's released weights of IODINE, a TensorFlow checkpoint, as a run. TensorFlow is not needed.

    infer, traverse and report use this run like a trained one.

    'iodine-kit config import-checkpoint' lists all keys for --set.
    """
    from iodine_kit.cli.console import Terminal, emit
    from iodine_kit.runner import Context, obtain
    from iodine_kit.stages import import_checkpoint as stage

    tables = tables_of(None, settings, "import-checkpoint")
    context = Context(store_at(store), Terminal(), overwrite)
    opened = stage.open_checkpoint(checkpoint, source, context)
    artifact = obtain(stage.plan(tables, {}, context, opened), context)
    emit(artifact, as_json, **artifact.facts)


def import_predictions(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="A .npz, .npy or HDF5 file, or a folder of PNG index masks.")
    ],
    dataset: Annotated[
        str | None,
        typer.Option(metavar="ARTIFACT", help="Data set that the file belongs to. Defaults to the most recent."),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Split that the file belongs to. Defaults to test, or the only one."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Name of the model in tables. Defaults to the name of the file."),
    ] = None,
    mapping: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.toml",
            parser=to_path,
            help="TOML file; its table \\[import] maps the file's arrays to fields of predictions.",
        ),
    ] = None,
    settings: SetOption = None,
    store: StoreOption = DEFAULT_STORE,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Import third-party predictions, so that eval, compare and report can use them.

    'iodine-kit config import-predictions' lists all keys for --set.
    """
    from iodine_kit.cli.console import emit

    options = {key: value for key, value in {"split": split, "model": model}.items() if value is not None}
    tables = _mapped(mapping, tables_of(None, settings, "import-predictions", {"import": options}))
    artifact = imported(store_at(store), to_path(source), dataset, tables, overwrite=overwrite)
    emit(artifact, as_json, **artifact.facts)


def _mapped(mapping: Path | None, tables: dict[str, Values]) -> dict[str, Values]:
    """The table [import] of a file, with ``tables`` on top."""
    from iodine_kit.config import merge, read_toml
    from iodine_kit.errors import ConfigError, did_you_mean

    given: dict[str, Any] = read_toml(mapping) if mapping else {}
    for name in given:
        if name != "import" or not isinstance(given[name], dict):
            raise ConfigError(f"{mapping}: '{name}' is not the table [import]{did_you_mean(name, ['import'])}")
    return merge(given, tables)


def imported(
    store: Store, source: Path, dataset: str | None, tables: dict[str, Values], *, overwrite: bool = False
) -> Artifact:
    """The predictions artifact of a third-party file, made if it is missing. The model's name defaults to the file's.

    ``dataset`` names the data set that was segmented; it defaults to the most recent.
    """
    from iodine_kit.cli.console import Terminal
    from iodine_kit.runner import Context, obtain
    from iodine_kit.stages import import_predictions as stage
    from iodine_kit.untrusted.folders import as_spelled

    source = as_spelled(source)
    if "model" not in tables["import"]:
        tables["import"] |= {"model": stage.model_of(source), "named": False}
    config = stage.configure(tables)
    data = input_artifact(store, dataset, "dataset", "iodine-kit prepare", config.split)
    context = Context(store, Terminal(), overwrite)
    return obtain(stage.plan(tables, {"dataset": data}, context, source), context)
