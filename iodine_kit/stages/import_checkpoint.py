"""import-checkpoint: imports a TensorFlow checkpoint of the released code as a run, as if it had been trained here."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from iodine_kit.artifacts.published_sources import fetch
from iodine_kit.config import Config, Values, build, named
from iodine_kit.errors import ConfigError, CorruptDataError, SchemaError, SourceError, UnknownNameError, did_you_mean
from iodine_kit.models import MODELS
from iodine_kit.models.iodine import released
from iodine_kit.progress import Reporter
from iodine_kit.runner import Context, FactValues, Inputs, Job, Tables
from iodine_kit.store import Identity, Reference, SourceFile
from iodine_kit.system import expand_home, to_path
from iodine_kit.tensorbundle import Bundle, ZipFolder, locate, only_prefix
from iodine_kit.training.run_files import WEIGHTS

DEEPMIND: Final = "deepmind:"
"""Prefix of the names of released checkpoints."""
ARCHIVE: Final = "https://storage.googleapis.com/deepmind-research-iodine/iodine_checkpoints.zip"
RELEASED: Final = ("clevr6", "multi-dsprites", "tetrominoes")


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint, opened.

    Attributes:
        bundle: its variables.
        preset: of the network that it must belong to; "" if that is not known.
        downloads: the artifacts that hold downloaded files, by role.
    """

    bundle: Bundle
    preset: str
    downloads: dict[str, Reference]


def open_checkpoint(name: str, source: str | None, context: Context) -> Checkpoint:
    """Open the checkpoint that the user named.

    Args:
        name: a path (an index, a prefix or a folder), or ``deepmind:NAME`` for one of :data:`RELEASED`.
        source: the archive of released checkpoints, a file or an address; by default it is downloaded from DeepMind.

    Raises:
        UnknownNameError: if DeepMind released no checkpoint of this name.
        SourceError: if a file is missing or cannot be downloaded.
        CorruptDataError: if the archive or the index is damaged.
    """
    if not name.startswith(DEEPMIND):
        if source is not None:
            raise SourceError(f"--source names the archive of '{DEEPMIND}NAME', but {name} is a path: omit one of them")
        return Checkpoint(Bundle(*locate(to_path(name))), "", {})
    released = name.removeprefix(DEEPMIND).replace("_", "-")
    if released not in RELEASED:
        raise UnknownNameError(f"no checkpoint is called '{name}'{did_you_mean(released, RELEASED)}")
    source = expand_home(source) if source is not None else None
    if source is not None and "://" not in source and not Path(source).is_file():
        raise SourceError(f"{source}: no such file; give --source the archive iodine_checkpoints.zip or its address")
    fetched = fetch([source or ARCHIVE], context)
    files = ZipFolder(fetched.paths[0], released.replace("-", "_"))
    bundle = Bundle(files, only_prefix(files, f"{fetched.paths[0]}: {released}"))
    return Checkpoint(bundle, f"release-{released}", fetched.downloads)


VERSION = 1
TABLES = ("model",)
INPUTS: tuple[str, ...] = ()
MODEL = "iodine"
DATASETS = {"clevr6": "clevr", "multi-dsprites": "multi-dsprites", "tetrominoes": "tetrominoes"}
"""The data set that each released network was trained on."""
_BLOCK = 1 << 20


def plan(tables: Tables, inputs: Inputs, context: Context, checkpoint: Checkpoint) -> Job:
    """Determine the network of the checkpoint, and check that every variable is present with the right shape.

    Args:
        tables: ``model`` may name a preset, or describe another network than the released ones.
        checkpoint: see :func:`open_checkpoint`.

    Raises:
        ConfigError: if the table has an unknown key or a wrong value.
        SchemaError: if the variables are not those of the network.
    """
    bundle = checkpoint.bundle
    shapes = {name: variable.shape for name, variable in bundle.variables.items()}
    values, plugin = dict(tables.get("model", {})), MODELS.load(MODEL)
    if (name := values.pop("name", MODEL)) != MODEL:
        raise ConfigError(f"model.name is '{name}': the released checkpoints are of '{MODEL}'")
    preset = _preset(values, checkpoint, shapes)
    config = build(plugin.Config, {**values, "preset": preset}, "model")
    expected = released.counterparts(config)  # type: ignore[arg-type]
    if problem := released.misfit(expected, shapes):
        raise SchemaError(f"{bundle.place}: not a checkpoint of the network {_called(preset, values)}: {problem}")
    _note_variables(bundle, preset, expected, context.reporter)
    short = preset.partition("-")[2]
    identity = Identity(
        kind="run",
        name=f"{MODEL}-{short}-imported",
        stage="import-checkpoint",
        version=VERSION,
        plugins={f"model/{MODEL}": plugin.VERSION},
        config={"model": named(MODEL, config)},
        inputs=checkpoint.downloads,
        sources=_sources(bundle, expected),
    )
    facts = {"dataset": DATASETS.get(short, ""), "preset": preset, "checkpoint": bundle.prefix}
    return Job(identity, lambda out: {**facts, **_make(config, bundle, expected, out)})


def _preset(values: Values, checkpoint: Checkpoint, shapes: released.Shapes) -> str:
    """The preset that the user named, else the one of the checkpoint's name, else the one that fits its variables."""
    if "preset" in values:
        named = str(values.pop("preset"))
        if named not in released.PRESETS:
            known = did_you_mean(named, released.PRESETS)
            raise ConfigError(f"model.preset: '{named}' is not a preset of the released networks{known}")
        return named
    return checkpoint.preset or released.fitting_preset(shapes, checkpoint.bundle.place)


def _called(preset: str, values: Values) -> str:
    return preset + (f" with {', '.join(sorted(values))} changed" if values else "")


def _note_variables(bundle: Bundle, preset: str, expected: dict[str, released.Counterpart], reporter: Reporter) -> None:
    unused = [name for name in bundle.variables if name not in expected and name != released.STEP]
    names = ", ".join(unused[:3]) + (", …" if len(unused) > 3 else "")
    more = f"; {len(unused)} unused ({names})" if unused else ""
    reporter.note(f"{bundle.place}: the network {preset}, {len(expected)} variables{more}")


def _sources(bundle: Bundle, expected: dict[str, released.Counterpart]) -> tuple[SourceFile, ...]:
    """Hashes of the index and the shards; the same for an archive, a folder and another file name."""
    shards = sorted({bundle.shard_of(name) for name in expected})
    return tuple(_source(bundle, name) for name in (f"{bundle.prefix}.index", *shards))


def _source(bundle: Bundle, name: str) -> SourceFile:
    digest, offset = hashlib.sha256(), 0
    while block := bundle.files.read(name, offset, _BLOCK):
        digest.update(block)
        offset += len(block)
    return SourceFile(name=name, sha256=digest.hexdigest(), bytes=offset, location=bundle.files.place(name))


def _make(config: Config, bundle: Bundle, expected: dict[str, released.Counterpart], out: Path) -> FactValues:
    from iodine_kit.training.checkpoint import first_misfit, save_weights

    model = MODELS.load(MODEL).build(config, seed=0)
    where = {name: (bundle.variables[name].shard, bundle.variables[name].offset) for name in expected}
    weights = released.weights(expected, bundle.read, sorted(expected, key=where.__getitem__), bundle.place)
    assert not first_misfit(model.state_dict(), weights)
    save_weights(out / WEIGHTS, weights)
    return {"steps": _steps(bundle), "parameters": sum(weight.numel() for weight in weights.values())}


def _steps(bundle: Bundle) -> Any:
    """Number of training steps of the checkpoint, or ``None`` if it does not say."""
    if released.STEP not in bundle.variables:
        return None
    steps = bundle.read(released.STEP)
    if steps.size != 1 or not 0 <= int(steps.reshape(-1)[0]) < 2**63:
        raise CorruptDataError(
            f"{bundle.place}: '{released.STEP}' is not a number of steps; download the checkpoint again"
        )
    return int(steps.reshape(-1)[0])
