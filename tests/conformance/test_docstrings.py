"""Public names are documented.

The rule of counting: each function, class, method and property counts if no part of its full name, from the folder to
the method, begins with an underscore, so special methods do not count. It is documented if it has a docstring of its
own, or overrides a documented method of a named base class of the package, or is the member of a plug-in that its
family's contract documents. Overloads and setters belong to their function.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "iodine_kit"
LEAST_DOCUMENTED = 0.98

Definition = ast.FunctionDef | ast.ClassDef
"""In the source, a property is a function, too."""


def trees() -> dict[str, ast.Module]:
    """The parsed modules of the package by their dotted names."""
    paths = {path.relative_to(PACKAGE).with_suffix("").parts: path for path in sorted(PACKAGE.rglob("*.py"))}
    return {".".join(parts).removesuffix(".__init__"): ast.parse(path.read_text("utf-8"))
            for parts, path in paths.items()}  # fmt: skip


def definitions(node: ast.Module | ast.ClassDef) -> Iterator[Definition]:
    """The public definitions directly in a module or class."""
    for one in node.body:
        if isinstance(one, Definition) and not one.name.startswith("_"):
            decorators = [ast.unparse(decorator) for decorator in one.decorator_list]
            if not any(name.endswith(("overload", ".setter")) for name in decorators):
                yield one


def undocumented(modules: Mapping[str, ast.Module]) -> dict[str, bool]:
    """Whether each public definition lacks a docstring."""
    classes = {one.name: one for tree in modules.values() for one in tree.body if isinstance(one, ast.ClassDef)}

    def documented(node: ast.ClassDef) -> set[str]:
        """The members that a class or one of its bases documents."""
        bases = [ast.unparse(base).partition("[")[0] for base in node.bases]
        own = {one.name for one in definitions(node) if ast.get_docstring(one)}
        return own.union(*(documented(classes[base]) for base in bases if base in classes and base != node.name))

    def contract(module: str) -> set[str]:
        """What the contract of the family documents, if the module is a plug-in."""
        family = modules.get(module.rpartition(".")[0], ast.Module([], []))
        plugins = [one for one in definitions(family) if one.name.endswith("Plugin") and isinstance(one, ast.ClassDef)]
        return set[str]().union(*map(documented, plugins))

    lacks = {}
    for module, tree in modules.items():
        if any(part.startswith("_") for part in module.split(".")):
            continue
        for one in definitions(tree):
            lacks[f"{module}.{one.name}"] = not ast.get_docstring(one) and one.name not in contract(module)
            if isinstance(one, ast.ClassDef):
                known = documented(one)
                lacks |= {f"{module}.{one.name}.{member.name}": member.name not in known for member in definitions(one)}
    return lacks


def test_at_least_98_percent_of_the_public_names_are_documented() -> None:
    lacks = undocumented(trees())
    without = [name for name, lacking in lacks.items() if lacking]
    assert len(lacks) > 1000
    assert 1 - len(without) / len(lacks) >= LEAST_DOCUMENTED, ", ".join(without)


def test_only_documented_definitions_bases_and_contracts_count() -> None:
    sources = {
        "family": 'class OnePlugin(Protocol):\n def make(self):\n  "Text."\n def other(self): ...\n',
        "family.plugin": "def make(): ...\ndef other(): ...\ndef _helper(): ...\n",
        "family._private": "def public(): ...\n",
        "rooms": 'class Base:\n "Text."\n def a(self):\n  "Text."\n def b(self): ...\n'
        "class Child(Base):\n def a(self): ...\n def b(self): ...\n def __len__(self): ...\n",
    }
    lacks = undocumented({name: ast.parse(source) for name, source in sources.items()})
    assert [name for name, lacking in lacks.items() if lacking] == [
        "family.OnePlugin", "family.OnePlugin.other", "family.plugin.other", "rooms.Base.b", "rooms.Child",
        "rooms.Child.b",
    ]  # fmt: skip
    assert len(lacks) == 11
