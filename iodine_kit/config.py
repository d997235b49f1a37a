"""Strict configuration: frozen pydantic models, built from TOML files and ``--set`` overrides.

A mistyped key is never ignored: the error names the nearest known key. Each component defines the model that configures
it. Several models can share one table of a file: for example, one for the settings that shape the result of a training
run (part of its key) and one for how the run is executed (never part of the key).
"""

from __future__ import annotations

import importlib.util
import json
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationError

from iodine_kit.errors import ConfigError, did_you_mean
from iodine_kit.system import expand_home, storage_error, to_path

Values = dict[str, Any]
NoneAsText = BeforeValidator(lambda value: None if value == "none" else value)
"""For a value that can be empty: TOML has no null, so "none" stands for it."""


def _installed(kind: str) -> str:
    if kind == "parquet" and importlib.util.find_spec("pyarrow") is None:
        raise ValueError("parquet needs the package pyarrow: install iodine-kit[parquet] or use csv")
    return kind


TableFormat = Annotated[Literal["csv", "parquet"], AfterValidator(_installed)]
"""Format of tables in files; parquet needs the package pyarrow."""


def _expanded(text: Any) -> Any:
    try:
        return expand_home(text) if isinstance(text, str) else text
    except ConfigError as error:
        raise ValueError(str(error)) from None


PathText = Annotated[str, AfterValidator(_expanded)]
"""For a value that is a path, a pattern or an address; see :func:`expand_home`."""
HomePath = Annotated[Path, BeforeValidator(lambda value: to_path(_expanded(value)))]
"""For a value that is a path; see :func:`to_path`."""


class Config(BaseModel):
    """Base of all configuration: immutable, without unknown keys, with validated defaults."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)


ConfigT = TypeVar("ConfigT", bound=Config)


def build(model: type[ConfigT], values: Mapping[str, Any], table: str) -> ConfigT:
    """Validate ``values`` as ``model``; messages give the name of the ``table``.

    Raises:
        ConfigError: names every wrong key, the reason and, for an unknown key, the nearest known key.
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        raise ConfigError("; ".join(_explain(model, table, one) for one in error.errors())) from None


def named(name: str, config: Config) -> Values:
    """A plug-in's name and its configuration, in JSON's types, as keys and manifests contain them."""
    return {"name": name, **config.model_dump(mode="json")}


def split_table(values: Mapping[str, Any], models: Iterable[type[Config]], table: str) -> list[Values]:
    """Split one table into one table per model: each key goes to the model that defines it.

    Returns:
        the tables, in the order of ``models``.

    Raises:
        ConfigError: if no model defines a key.
    """
    models = list(models)
    owned = {key: model for model in models for key in model.model_fields}
    for key in values:
        if key not in owned:
            raise ConfigError(f"{table}.{key} is not a known key{did_you_mean(key, owned)}")
    return [{key: value for key, value in values.items() if owned[key] is model} for model in models]


def read_toml(path: Path) -> Values:
    """Read a TOML file.

    Raises:
        ConfigError: it is missing, or malformed: with file and line.
        StorageError: the operating system refuses to read it.
    """
    try:
        return tomllib.loads(path.read_text("utf-8-sig"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such configuration file") from None
    except OSError as error:
        raise storage_error(error, path) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as TOML: {error}") from None


def parse_overrides(settings: Iterable[str], tables: Iterable[str]) -> dict[str, Values]:
    """Parse settings such as ``train.steps=50`` into nested tables.

    A value is TOML; a value that is not valid TOML is a string.

    Raises:
        ConfigError: if a setting has no ``=``, no table, or a table that is not in ``tables``.
    """
    tables = list(tables)
    result: dict[str, Values] = {table: {} for table in tables}
    for setting in settings:
        path, equals, text = setting.partition("=")
        keys = [key.strip() for key in path.split(".")]
        if not equals or len(keys) < 2 or not all(keys):
            raise ConfigError(f"--set {setting}: write TABLE.KEY=VALUE, for example {tables[0]}.KEY=VALUE")
        if keys[0] not in result:
            raise ConfigError(f"--set {setting}: unknown table '{keys[0]}'{did_you_mean(keys[0], tables)}")
        merge(result, nest(keys, parse_value(text.strip())))
    return result


def merge(base: Values, over: Mapping[str, Any]) -> Values:
    """Update ``base`` in place with the values of ``over``, table by table, and return ``base``.

    Nested tables are copied: later changes of ``base`` do not change ``over``.
    """
    for key, value in over.items():
        if isinstance(value, Mapping) and isinstance(base.get(key), dict):
            merge(base[key], value)
        else:
            base[key] = merge({}, value) if isinstance(value, Mapping) else value
    return base


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested tables: ``{"a": {"b": 1}}`` becomes ``{"a.b": 1}``. An empty table is a value."""
    leaves: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            leaves |= flatten(value, f"{prefix}{key}.")
        else:
            leaves[prefix + key] = value
    return leaves


def short_keys(keys: Sequence[str]) -> dict[str, str]:
    """Dotted key → the shortest end of it that no other key has: ``{"model.beta": "beta"}``."""
    ends = {key: [".".join(key.split(".")[start:]) for start in range(key.count("."), -1, -1)] for key in keys}
    own = {key: (end for end in ends[key] if sum(end in other for other in ends.values()) == 1) for key in keys}
    return {key: next(own[key], key) for key in keys}


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """List the values that differ between two configurations, as ``"train.steps: 50 -> 100"``."""
    before, after = flatten(old), flatten(new)
    names = sorted(before.keys() | after.keys())
    return [
        f"{name}: {_show(before, name)} -> {_show(after, name)}"
        for name in names
        if before.get(name) != after.get(name) or (name in before) != (name in after)
    ]


def _show(values: Mapping[str, Any], name: str) -> str:
    return json.dumps(values[name]) if name in values else "absent"


def nest(keys: Sequence[str], value: object) -> Values:
    """A value below its keys: ``["a", "b"]`` and 1 become ``{"a": {"b": 1}}``."""
    for key in reversed(keys):
        value = {key: value}
    assert isinstance(value, dict)
    return value


def parse_value(text: str) -> object:
    """The value that a text spells in TOML; a text that is not valid TOML is a string."""
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return parsed["value"] if len(parsed) == 1 else text


def _explain(model: type[Config], table: str, error: Mapping[str, Any]) -> str:
    location = [str(part) for part in error["loc"]]
    place = ".".join([table, *location])
    if error["type"] == "extra_forbidden":
        return f"{place} is not a known key{did_you_mean(location[-1], _known_keys(model, location[:-1]))}"
    message = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] in ("tuple_type", "list_type"):
        message = 'Should be a list, such as ["a", "b"] or [0, 0.5]'
    given = error.get("input")
    shown = "" if isinstance(given, Mapping) or not location else f" (given: {given!r})"
    return f"{place}: {message[0].lower()}{message[1:]}{shown}"


def _known_keys(model: type[BaseModel], location: list[str]) -> Iterable[str]:
    for part in location:
        field = model.model_fields.get(part)
        possible = (field.annotation, *get_args(field.annotation)) if field else ()  # an optional table, too
        inner = [kind for kind in possible if isinstance(kind, type) and issubclass(kind, BaseModel)]
        if not inner:
            return []
        model = inner[0]
    return model.model_fields
