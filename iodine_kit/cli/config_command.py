"""The command config: every key of a stage or plug-in, read from the classes that validate it."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from iodine_kit.process import print_json, print_text

if TYPE_CHECKING:
    from iodine_kit.cli.config_keys import Key
    from iodine_kit.registry import Registry


class Family(NamedTuple):
    """Plug-ins whose configuration is a table: where their registry is, and the plug-in that a stage defaults to."""

    registry: str
    default: str = ""


FAMILIES = {
    "dataset": Family("iodine_kit.datasets:DATASETS"),
    "layout": Family("iodine_kit.layouts:LAYOUTS"),
    "format": Family("iodine_kit.formats:FORMATS", "hdf5"),
    "model": Family("iodine_kit.models:MODELS", "iodine"),
    "study": Family("iodine_kit.studies:STUDIES"),
}
Tables = Mapping[str, tuple[str, ...] | Family]
STAGES: dict[str, Tables] = {
    "prepare": {
        "prepare": ("stages.prepare.config:PrepareConfig", "stages.prepare.config:PrepareExecution"),
        "dataset": FAMILIES["dataset"],
        "layout": FAMILIES["layout"],
        "preprocess": ("preprocessing:PreprocessConfig",),
        "format": FAMILIES["format"],
    },
    "train": {
        "train": ("training.config:TrainConfig", "training.config:TrainExecution"),
        "model": FAMILIES["model"],
    },
    "infer": {"infer": ("stages.infer:InferConfig", "stages.infer:InferExecution")},
    "import-predictions": {"import": ("predictions.importing.config:ImportConfig",)},
    "import-checkpoint": {"model": FAMILIES["model"]},
    "eval": {
        "eval": ("stages.evaluate:EvalConfig", "stages.evaluate:EvalExecution"),
        "import": ("predictions.importing.config:ImportConfig",),
    },
    "compare": {"compare": ("stages.compare:CompareConfig",)},
    "probe": {"probe": ("stages.probe:ProbeConfig",)},
    "traverse": {"traverse": ("stages.traverse:TraverseConfig", "stages.traverse:TraverseExecution")},
    "report": {"report": ("stages.report:ReportConfig",)},
    "stats": {"stats": ("stages.stats:StatsConfig",)},
}
"""Command → table of the configuration → the classes that validate it, below ``iodine_kit``, or its plug-ins.

Text, so that a command can read its options without loading its stage.
"""


def config(
    what: Annotated[
        str | None,
        typer.Argument(
            metavar="STAGE|KIND", help="A stage, or a kind of plug-in: dataset, layout, format, model, study."
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Name of the plug-in, after its kind.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List all configuration keys of a stage or plug-in, with default, type and meaning.

    For example: iodine-kit config train, iodine-kit config dataset clevr
    """
    from iodine_kit.errors import UnknownNameError

    if what is None:
        print_json([*STAGES, *FAMILIES]) if as_json else print_text(_overview())
        return
    if what in FAMILIES and name is None:
        raise typer.BadParameter(f"name one of {', '.join(_registry(FAMILIES[what]).names())}", param_hint="NAME")
    if what in FAMILIES:
        tables = {what: plugin_keys(what, str(name))}
    elif what not in STAGES:
        raise UnknownNameError(
            f"'{what}' is neither a stage ({', '.join(STAGES)}) nor a kind of plug-in ({', '.join(FAMILIES)})"
            f"{_suggestion(what, [*STAGES, *FAMILIES])}"
        )
    elif name is not None:
        raise typer.BadParameter(f"a name follows a kind of plug-in: {', '.join(FAMILIES)}", param_hint="NAME")
    else:
        tables = stage_keys(what)
    if as_json:
        print_json([asdict(key) for keys in tables.values() for key in keys])
        return
    for table, keys in tables.items():
        print_text(_page(table, keys, FAMILIES.get(table), name))


def stage_keys(stage: str) -> dict[str, list[Key]]:
    """The keys of a stage by table; of plug-ins only those of the plug-in that the stage defaults to."""
    from iodine_kit.cli.config_keys import keys_of

    keys: dict[str, list[Key]] = {}
    for table, source in STAGES[stage].items():
        if isinstance(source, Family):
            keys[table] = plugin_keys(table, source.default) if source.default else []
        else:
            keys[table] = [key for path in source for key in keys_of(_load(f"iodine_kit.{path}"), table)]
    return {table: [*_read_by_the_stage(table), *map(_with_metrics, own)] for table, own in keys.items()}


def all_keys(stage: str) -> list[str]:
    """Names of the keys of a stage, with those of all plug-ins of its families."""
    keys = [key.key for keys in stage_keys(stage).values() for key in keys]
    families = [(table, source) for table, source in STAGES[stage].items() if isinstance(source, Family)]
    for table, family in families:
        if not family.default:
            keys += [key.key for name in _registry(family).built_in() for key in plugin_keys(table, name)]
    return list(dict.fromkeys(keys))


def _with_metrics(key: Key) -> Key:
    """The key ``eval.metrics`` with the names of all metrics, and their titles in tables; any other key as it is."""
    from dataclasses import replace

    if key.key != "eval.metrics":
        return key
    from iodine_kit.metrics import METRICS

    names = ", ".join(f"{name} ({title})" for name, title in METRICS.titles().items())
    return replace(key, meaning=f"{key.meaning} Names, and titles in tables: {names}.")


def plugin_keys(kind: str, name: str) -> list[Key]:
    """The keys of a plug-in's table."""
    from iodine_kit.cli.config_keys import Key, keys_of, one_of

    plugin = _registry(FAMILIES[kind]).load(name)
    presets = list(getattr(plugin, "PRESETS", ()))
    meaning = "Published set of values to start from; other keys replace single values."
    preset = [Key("model.preset", one_of(presets), meaning)] if presets else []
    return [*preset, *keys_of(plugin.Config, kind)]


def _read_by_the_stage(table: str) -> list[Key]:
    """Keys that a stage reads itself, before a class validates the others."""
    from iodine_kit.cli.config_keys import Key

    if table == "train":
        return [Key("train.from", "text", "Run, checkpoint file or pretrained:NAME whose weights to start from.")]
    return [Key("model.name", "text", "Name of the model.", "iodine")] if table == "model" else []


def _page(table: str, keys: list[Key], family: Family | None, name: str | None) -> str:
    """A table as it is printed: ``key = default  (type)`` and, below it, the meaning."""
    import shutil
    import textwrap

    if family and not keys and name is None:
        names = textwrap.fill(", ".join(_registry(family).names()), 100, initial_indent="  ", subsequent_indent="  ")
        return f"[{table}]\n  'iodine-kit config {table} NAME' lists the keys; NAME is one of\n{names}\n"
    width = min(shutil.get_terminal_size((100, 24)).columns, 100)
    lines = [f"[{table}]  {name or (family and family.default) or ''}".rstrip()]
    for key in keys:
        default = "(required)" if key.required else f"= {_shown(key.default)}"
        line = f"  {key.key} {default}  ({key.type})"
        lines += [line] if len(line) <= width else [f"  {key.key} {default}", f"      ({key.type})"]
        lines += textwrap.wrap(key.meaning, width, initial_indent="      ", subsequent_indent="      ")
    return "\n".join([*lines, *([] if keys else ["  no keys"]), ""])


def _shown(default: Any) -> str:
    return "none" if default is None else json.dumps(default, ensure_ascii=False)


def _overview() -> str:
    stages, kinds = ", ".join(STAGES), ", ".join(FAMILIES)
    return (
        f"iodine-kit config STAGE      with STAGE one of {stages}\n"
        f"iodine-kit config KIND NAME  with KIND one of {kinds}"
    )


def _suggestion(name: str, known: list[str]) -> str:
    """As :func:`did_you_mean`, but nothing if no name is near: the message lists them."""
    from iodine_kit.errors import did_you_mean

    text = did_you_mean(name, known)
    return text if "did you mean" in text else ""


def _load(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


def _registry(family: Family) -> Registry[Any]:
    registry: Registry[Any] = _load(family.registry)
    return registry
