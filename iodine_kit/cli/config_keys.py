"""The keys of a configuration class: default and type from its fields, meaning from its docstring's ``Attributes``."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic_core import to_jsonable_python


@dataclass(frozen=True)
class Key:
    """A key of the configuration.

    Attributes:
        key: the whole name, as ``--set`` takes it.
        type: type and permitted values, in words.
        default: as JSON; absent if ``required``.
        meaning: one or more sentences.
    """

    key: str
    type: str
    meaning: str
    default: Any = None
    required: bool = False


def keys_of(model: type[BaseModel], table: str) -> Iterator[Key]:
    """The keys of a class, those of nested tables in their places."""
    schema = model.model_json_schema()
    yield from _keys(model, table, schema, schema.get("$defs", {}))


def _keys(model: type[BaseModel], table: str, schema: Mapping[str, Any], known: Mapping[str, Any]) -> Iterator[Key]:
    meanings = meanings_of(model)
    for name, field in model.model_fields.items():
        inner = _nested(field.annotation)
        shape = schema["properties"][name]
        required = field.is_required()
        default = None if required else to_jsonable_python(field.get_default(call_default_factory=True))
        if inner is None or default is None:
            text = "table" if inner else _in_words(shape)
            yield Key(f"{table}.{name}", text, meanings.get(name, ""), default, required)
        if inner is not None:
            yield from _keys(inner, f"{table}.{name}", known[inner.__name__], known)


def meanings_of(model: type[BaseModel]) -> dict[str, str]:
    """The meaning of every field by its name, as plain sentences, from the docstrings of the class and its bases."""
    found: dict[str, str] = {}
    for one in reversed(model.__mro__):
        text = inspect.cleandoc(one.__dict__.get("__doc__") or "")
        _, _, section = text.partition("Attributes:\n")
        for names, meaning in re.findall(r"^    (\w+(?:, \w+)*): (.*(?:\n(?: {5,}.*)?$)*)", section, re.MULTILINE):
            sentence = re.sub(r":\w+:`~?([^`]*)`|``([^`]*)``", r"\1\2", " ".join(meaning.split()))
            literal = meaning.startswith("``") or not sentence[:1].isascii()  # a value or symbol keeps its spelling
            found |= dict.fromkeys(names.split(", "), sentence if literal else sentence[:1].upper() + sentence[1:])
    return {name: found[name] for name in model.model_fields if name in found}


def _nested(annotation: Any) -> type[BaseModel] | None:
    """The class of a nested table, which may be optional."""
    kinds = (annotation, *getattr(annotation, "__args__", ()))
    return next((kind for kind in kinds if inspect.isclass(kind) and issubclass(kind, BaseModel)), None)


def _in_words(schema: Mapping[str, Any]) -> str:
    """A type in JSON Schema as words: ``"integer from 1 to 255"``."""
    if "anyOf" in schema:
        kinds = [_in_words(one) for one in schema["anyOf"]]
        return (", or " if "," in kinds[0] or " and " in kinds[0] else " or ").join(kinds)
    if "enum" in schema or "const" in schema:
        return one_of(schema.get("enum", [schema.get("const")]))
    kind = str(schema.get("type", ""))
    if kind == "array" and "prefixItems" in schema:
        return f"list of {len(schema['prefixItems'])}: {_in_words(schema['prefixItems'][0])}"
    if kind == "array":
        return f"list of {_in_words(schema['items'])}"
    if kind == "object":
        return f"table, name to {_in_words(schema['additionalProperties'])}"
    names = {"null": "none", "boolean": "true or false", "string": "path" if schema.get("format") == "path" else "text"}
    return names.get(kind, kind + _limits(schema))


def _limits(schema: Mapping[str, Any]) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return f" from {low:,} to {high:,}"
    limits = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
    said = [f"{words} {schema[name]:g}" for name, words in limits.items() if name in schema and schema[name] < 1e15]
    return f" {' and '.join(said)}" if said else ""


def one_of(values: Sequence[Any]) -> str:
    """``"a, b or c"``."""
    *most, last = map(str, values)
    return f"{', '.join(most)} or {last}" if most else last
