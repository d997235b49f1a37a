"""Options that several commands share, and how they become configuration and artifacts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from iodine_kit.cli.other_commands import remember_store
from iodine_kit.system import to_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from iodine_kit.config import Values
    from iodine_kit.engines import EngineConfig
    from iodine_kit.progress import Reporter
    from iodine_kit.store import Artifact, Store

_REPLACED = {
    "prepare": {
        "--no-crop": "use --set preprocess.crop=none",
        "--sprites": "use --set dataset.sprites=FILE",
        "--layout": "use --set prepare.layout=NAME",
        "--skip-bad": "use --set prepare.skip_bad=true",
        "--resume": "repeat the command without it, and the interrupted preparation resumes",
    },
    "train": {
        "--resume": "repeat the command without it, and the interrupted run resumes",
        "--auto-resume": "repeat the command without it, and the interrupted run resumes",
    },
    "import-checkpoint": {"--preset": "use --set model.preset=NAME"},
    "eval": {
        "--convention": "use --set eval.convention=NAME",
        "--resolution": "use --set eval.resolution=N",
        "--split": "use --set import.split=NAME for a third-party file; to predict another split, use "
        "'iodine-kit infer --set infer.split=NAME'",
        "--model": "use --set import.model=NAME",
        "--mapping": "use 'iodine-kit import-predictions FILE --mapping FILE.toml' first",
    },
    "probe": {"--match": "use --set probe.match=mask or --set probe.match=loss"},
}
"""Command → an option that it no longer has → what to do instead."""


class Command(TyperCommand):
    """A command that says what replaces an unknown option: one of an earlier version, or a key of the configuration."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments; an option that was removed is a usage error that names its replacement."""
        replaced = _REPLACED.get(self.name or "", {})
        known = {"--help", *(name for parameter in self.params for name in parameter.opts)}
        for argument in args:
            option = argument.partition("=")[0]
            if option in replaced:
                ctx.fail(f"{option} was removed: {replaced[option]}")
            keys = _keys_called(option[2:].replace("-", "_"), self.name or "") if _is_unknown(option, known) else []
            if keys:
                ctx.fail(f"no such option: {option}; use --set {keys[0]}=VALUE")
        try:
            return super().parse_args(ctx, args)
        except typer.BadParameter as error:
            error.message = error.message.removeprefix("Value error, ")  # some versions of typer begin with it
            raise

    def invoke(self, ctx: Any) -> Any:
        """Call the command; the commands that its sentences name act on the same store."""
        remember_store(ctx, to_path(os.environ.get(STORE_VARIABLE) or str(DEFAULT_STORE)))
        return super().invoke(ctx)


def _is_unknown(option: str, known: set[str]) -> bool:
    return option.startswith("--") and len(option) > 2 and option not in known


def _keys_called(name: str, command: str) -> list[str]:
    """Keys of a command's configuration, such as ``train.steps``, whose last part is ``name``; its own table first."""
    from iodine_kit.cli.config_command import STAGES, all_keys

    return [key for key in all_keys(command) if key.rpartition(".")[2] == name] if command in STAGES else []


def check_settings(settings: list[str], commands: Iterable[str]) -> None:
    """Raise :class:`ConfigError` for a ``--set`` without a table, such as ``steps=5``; the message names the table."""
    from iodine_kit.errors import ConfigError

    for setting in settings:
        name, equals, value = (part.strip() for part in setting.partition("="))
        keys = [key for one in commands for key in _keys_called(name, one)] if equals and "." not in name else []
        if keys:
            raise ConfigError(f"--set {setting}: write TABLE.KEY=VALUE; did you mean {keys[0]}={value}?")


DEFAULT_STORE = Path("data")
STORE_VARIABLE = "IODINE_KIT_STORE"
StoreOption = Annotated[
    Path,
    typer.Option("--store", envvar=STORE_VARIABLE, metavar="DIR", parser=to_path, help="Directory of all artifacts."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of the artifact's path.")]
PrintJsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Rebuild even if the artifact is up to date.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="TABLE.KEY=VALUE", help="Set one value of the configuration (repeatable)."),
]
PipelineOption = Annotated[
    str | None, typer.Option("--pipeline", metavar="FILE|NAME", help="Configuration and inputs of a pipeline file.")
]
EngineOption = Annotated[
    str, typer.Option("--engine", metavar="NAME", help="Where units of work run: local, dask, ray or slurm.")
]
AddressOption = Annotated[
    str, typer.Option("--address", metavar="TEXT", help="Address of the engine's cluster.", show_default=False)
]
WorkersOption = Annotated[
    int, typer.Option("--workers", min=1, metavar="N", help="Number of processes; the result does not depend on it.")
]
DEFAULT_ENGINE = "local"
OutputOption = Annotated[
    Path | None,
    typer.Option("--output", metavar="FILE", parser=to_path, help="Also copy the page to this file."),
]
PredictionsOption = Annotated[
    str | None,
    typer.Option(
        "--predictions", metavar="ARTIFACT", help="Predictions. Defaults to the most recent.", show_default=False
    ),
]
ARTIFACT_HELP = "Path of the artifact, KIND/NAME-KEY, the first digits of its key (at least 4), or tag:NAME."


def check_output(output: Path | None) -> None:
    """Refuse a directory where a file is needed, before any long work starts."""
    if output is not None and output.is_dir():
        raise typer.BadParameter(f"{output} is a directory: name a file", param_hint="--output")


def hand_over(page: Path, output: Path | None) -> str:
    """Copy the page to ``output``, if given, and return the path of the copy; otherwise the path of the page."""
    import shutil

    from iodine_kit.cli.console import Terminal

    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        page = Path(shutil.copyfile(page, output))
    Terminal().note(f"open {page.resolve().as_uri()}")
    return str(page)


def tables_of(
    pipeline: str | None, settings: list[str] | None, stage: str, options: Mapping[str, Values] | None = None
) -> dict[str, Values]:
    """The tables of a stage: from the pipeline file, if one is named, then ``--set``, then other ``options``."""
    from iodine_kit.cli.config_command import STAGES
    from iodine_kit.config import merge, parse_overrides

    names = tuple(STAGES[stage])
    check_settings(settings or [], [stage])
    given = merge(parse_overrides(settings or [], names), options or {})
    if pipeline is None:
        return given
    from iodine_kit.pipeline import load, override  # here, because it loads all stages

    tables = load(pipeline)
    return override({name: tables.get(name, {}) for name in names}, given)


def engine_of(name: str, address: str, workers: int) -> EngineConfig:
    """The engine that the options describe; raises :class:`ConfigError` for a wrong value, or for an unknown name
    :class:`UnknownNameError`."""
    from iodine_kit.addresses import redacted
    from iodine_kit.cli.console import Terminal
    from iodine_kit.config import build
    from iodine_kit.engines import ENGINES, EngineConfig
    from iodine_kit.errors import ConfigError

    plugin = ENGINES.load(name)
    if (shown := redacted(address)) != address:
        raise ConfigError(f"--address {shown}: the address of a cluster has no user, password or token; omit it")
    if workers != 1 and getattr(plugin, "OWN_WORKERS", False):
        Terminal().note(f"note: --workers {workers} has no effect: the cluster of --engine {name} has its own workers")
        workers = 1
    return build(EngineConfig, {"name": name, "address": address, "workers": workers}, "engine")


def store_at(path: Path) -> Store:
    """The store in a directory."""
    from iodine_kit.errors import StorageError
    from iodine_kit.store import Store

    if path.is_file():
        raise StorageError(f"{path}: this is a file, not the folder of a store: correct --store")
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
    pipeline: str | None = None,
) -> Artifact:
    """The artifact at ``place``, or else the one that the pipeline makes, or else the most recent one of its kind that
    was made for no special purpose.

    Args:
        command: a command that makes such an artifact; the error names it if there is none.
        split: only data sets that have this split.
        of: only the data set of this name.
        suits: only artifacts for which this is true. If there is none, the most recent of the others is returned: the
            stage refuses it and says why.
        pipeline: a pipeline file. If the store does not have what it makes, a note says how the most recent differs.
    """
    from iodine_kit.cli.console import Terminal
    from iodine_kit.errors import ArtifactNotFoundError

    if place:
        return store.usable(store.open(place, kind))
    reporter = reporter or Terminal()
    if pipeline is not None:
        from iodine_kit.cli.own_artifacts import note_difference, own_artifact

        own = own_artifact(store, kind, pipeline, reporter)
        if own is not None:
            return own

    def fits(found: Artifact) -> bool:
        return not found.purpose and _is_called(found, of) and _has_split(found, split) and suits(found)

    artifact = store.newest(kind, command, fits)
    if not _is_called(artifact, of):
        raise ArtifactNotFoundError(
            f"{store.root} has no data set '{of}', which the pipeline file needs: make it with "
            f"'iodine-kit prepare --pipeline FILE', or name another data set with --dataset"
        )
    reporter.note(f"using {kind} {artifact.path}")
    if pipeline is not None:
        note_difference(store, artifact, pipeline, reporter)
    return artifact


def _is_called(dataset: Artifact, name: str | None) -> bool:
    """Whether a data set has this name; any name is right if none is asked for."""
    if name is None:
        return True
    from iodine_kit.artifacts.dataset import DatasetFacts

    return DatasetFacts.of(dataset).info.dataset == name


def _has_split(dataset: Artifact, split: str | None) -> bool:
    """Whether a data set has this split, if one is asked for."""
    if split is None:
        return True
    from iodine_kit.artifacts.dataset import DatasetFacts

    return split in DatasetFacts.of(dataset).splits


def has_latents(predictions: Artifact) -> bool:
    """Whether the predictions contain latents."""
    from iodine_kit.predictions.file import PREDICTIONS, PredictionReader

    return "latent_loc" in PredictionReader(predictions.path / PREDICTIONS).fields()


def prepared_by(pipeline: str | None) -> str | None:
    """Name of the data set that a pipeline file prepares; none without a file or without that table."""
    if pipeline is None:
        return None
    from iodine_kit.pipeline import load

    prepared = load(pipeline).get("prepare", {}).get("dataset")
    return None if prepared is None else str(prepared)


def parent(store: Store, artifact: Artifact, role: str) -> Artifact:
    """The input of an artifact in this role."""
    return store.resolve(artifact.manifest.identity.inputs[role])


def is_file(store: Store, place: str | None) -> bool:
    """Whether ``place`` is a third-party file or folder, and not an artifact of the store."""
    from iodine_kit.store.manifest import MANIFEST
    from iodine_kit.untrusted.folders import as_spelled

    if not place or (store.root / place / MANIFEST).is_file():
        return False
    path = as_spelled(to_path(place))
    return path.is_file() or (path.is_dir() and not (path / MANIFEST).is_file())
