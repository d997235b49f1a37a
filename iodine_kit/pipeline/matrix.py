"""Matrices: lists of values for some keys of a pipeline. Each combination of the values is one member.

The table ``[matrix]`` of a pipeline file, or ``--matrix``, gives the lists; ``seeds`` is short for ``train.seed``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from iodine_kit.config import Values, flatten, merge, nest, parse_value, short_keys
from iodine_kit.errors import ConfigError, IodineKitError, did_you_mean
from iodine_kit.formatting import setting as as_text
from iodine_kit.pipeline.file import MATRIX, TABLES, check, override

SEED = "train.seed"
SHORT = {"seeds": SEED}
"""Short names of keys."""
MOST_MEMBERS = 1000
"""More members than anybody runs: a larger matrix is a mistake."""
_Named = tuple[str, dict[str, Any]]
"""A member by name, and its values of the keys of the matrix."""
_EXAMPLE = "for example train.seed=1,2,3"


@dataclass(frozen=True, eq=False)
class Member:
    """One combination of the values of a matrix.

    Attributes:
        name: its values, such as ``seed=1,beta=4.0``; "" for the only member of a pipeline without a matrix.
        settings: its value of each key of the matrix.
        tables: the tables of the pipeline with these values.
    """

    name: str
    settings: Mapping[str, Any]
    tables: dict[str, Values] = field(repr=False)


def expand(
    tables: Mapping[str, Values],
    matrix: Sequence[str] = (),
    settings: Sequence[str] = (),
    names: Sequence[str] = (),
    checked: bool = True,
) -> list[Member]:
    """The members of a pipeline that are asked for, each checked; a pipeline without a matrix has one.

    Args:
        tables: as :func:`iodine_kit.pipeline.load` returns them.
        matrix: further keys and values, such as ``"train.seed=1,2,3"``; they replace those of the table ``[matrix]``.
        settings: the ``--set`` that are in ``tables``: they must not set a key of the matrix.
        names: the members to return. Defaults to all.
        checked: whether to check the tables of the members.

    Raises:
        ConfigError: if the matrix names an unknown key, a value is not a list, or a list is empty or repeats a value;
            or there is no member of a name.
        IodineKitError: whatever :func:`iodine_kit.pipeline.check` raises; the message begins with the member.
    """
    lists = _from_table(tables.get(MATRIX, {})) | _from_options(matrix)
    _check_settings(settings, lists)
    base = {name: table for name, table in tables.items() if name != MATRIX}
    if math.prod(map(len, lists.values())) > MOST_MEMBERS:
        raise ConfigError(f"the matrix has {math.prod(map(len, lists.values())):,} members, at most {MOST_MEMBERS:,}")
    shown = short_keys(list(lists))
    combinations = [dict(zip(lists, values, strict=True)) for values in product(*lists.values())]
    chosen = _chosen([(_name(shown, one), one) for one in combinations], names)
    members = [Member(name, one, _with(base, one)) for name, one in chosen]
    return [_checked(member) for member in members] if checked else members


def refuse_matrix(tables: Mapping[str, Values], remedy: str) -> None:
    """Raise :class:`ConfigError` with a ``remedy`` if the pipeline has a matrix."""
    if tables.get(MATRIX):
        raise ConfigError(f"this pipeline has the table [{MATRIX}], so that it has several members: {remedy}")


def _from_table(table: Mapping[str, Any]) -> dict[str, list[Any]]:
    place = f"[{MATRIX}]"
    return {_key(name, place): _values(name, values, place) for name, values in flatten(table).items()}


def _from_options(options: Sequence[str]) -> dict[str, list[Any]]:
    lists: dict[str, list[Any]] = {}
    for option in options:
        place = f"--{MATRIX} {option}"
        name, equals, text = (part.strip() for part in option.partition("="))
        if not equals or not name:
            raise ConfigError(f"{place}: write TABLE.KEY=VALUE,VALUE, {_EXAMPLE}")
        key = _key(name, place)
        if key in lists:
            raise ConfigError(f"{place}: {key} is given twice: write all its values in one --{MATRIX}")
        lists[key] = _values(name, _split(text, place), place)
    return lists


def _split(text: str, place: str) -> list[Any]:
    """``"1,2"``, ``"[1, 2]"`` or ``"[3, 4], [5, 6]"`` as values; words that are not valid TOML are separate strings."""
    for spelling in (text, f"[{text}]"):
        value = parse_value(spelling)
        if isinstance(value, list):
            return value
    if re.search(r"[\"'\[\]{}]", text):
        raise ConfigError(f"{place}: write quotes around each value or around none, and close brackets")
    return [parse_value(part.strip()) for part in text.split(",")]


def _key(name: str, place: str) -> str:
    """The key of the configuration that a matrix names; its table must be that of a stage."""
    key = SHORT.get(name, name)
    table, _, rest = key.partition(".")
    known = [one for one in TABLES if one != "pipeline"]
    if table == "pipeline":
        raise ConfigError(f"{place}: {key} describes the pipeline and changes no artifact: name a key of a stage")
    if not rest:
        hint = did_you_mean(name, SHORT) if name not in known else ""
        raise ConfigError(f"{place}: '{name}' is not TABLE.KEY, {_EXAMPLE}{hint}")
    if table not in known:
        raise ConfigError(f"{place}: {key}: unknown table '{table}'{did_you_mean(table, known)}")
    return key


def _values(name: str, values: Any, place: str) -> list[Any]:
    if not isinstance(values, list):
        raise ConfigError(f"{place}: {name} is {as_text(values)}: give a list of values, such as [{as_text(values)}]")
    if not values:
        raise ConfigError(f"{place}: {name} is an empty list: give one value or more, or omit the key")
    for index, value in enumerate(values):
        if value in values[:index]:
            raise ConfigError(f"{place}: {name} has the value {as_text(value)} twice: give each value once")
    return values


def _check_settings(settings: Sequence[str], lists: Mapping[str, Any]) -> None:
    for setting in settings:
        name = setting.partition("=")[0].strip()
        for key in lists:
            if f"{name}.".startswith(f"{key}.") or f"{key}.".startswith(f"{name}."):
                raise ConfigError(
                    f"--set {setting}: the matrix varies {key}: omit this --set, or give the values with --{MATRIX}"
                )


def _name(shown: Mapping[str, str], values: Mapping[str, Any]) -> str:
    texts = {key: value if isinstance(value, str) else as_text(value).replace(" ", "") for key, value in values.items()}
    return ",".join(f"{shown[key]}={text}" for key, text in texts.items())


def _with(tables: Mapping[str, Values], values: Mapping[str, Any]) -> dict[str, Values]:
    changed = merge({}, tables)
    for key, value in values.items():
        override(changed, nest(key.split("."), value))
    return changed


def _checked(member: Member) -> Member:
    try:
        check(member.tables)
    except IodineKitError as error:
        if not member.name:
            raise
        raise type(error)(f"member {member.name} of the matrix: {error}") from None
    return member


def _chosen(members: list[_Named], names: Sequence[str]) -> list[_Named]:
    known = {name for name, _ in members}
    for name in names:
        if name not in known:
            hint = did_you_mean(name, known) if known != {""} else ": the pipeline has no matrix"
            raise ConfigError(f"--member {name}: there is no such member{hint}")
    return [(name, values) for name, values in members if not names or name in names]
