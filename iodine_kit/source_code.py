"""Which code an artifact was made by: the files that a stage depends on, each with a hash of what it does.

The hash of a module is that of its bytecode without positions, docstrings and ``assert``: comments, documentation and
formatting do not change it. Bytecode belongs to one minor version of Python, so hashes of another are not compared.
Nothing here is part of an artifact key: a change of code that changes results raises a ``VERSION``.
"""

from __future__ import annotations

import ast
import hashlib
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatch
from functools import lru_cache
from importlib.metadata import entry_points
from pathlib import Path
from types import CodeType
from typing import Any

PACKAGE = "iodine_kit"
AROUND = (
    "cli", "config", "engines", "errors", "new_file", "process", "progress", "registry", "runner", "source_code",
    "store", "system", "units",
)  # fmt: skip
"""Modules of the package that run a stage and store its artifact; they do not shape it."""
FAMILIES = {
    "dataset": "datasets", "foreign": "predictions.readers", "format": "formats", "layout": "layouts",
    "metric": "metrics", "model": "models", "protocol": "protocols", "study": "studies",
}  # fmt: skip
"""Family of plug-ins as identities name it → its package."""
USED_AS_A_WHOLE = ("reporting.sections",)
"""Families whose plug-ins no identity names, because all of them are always used."""
_TEMPLATES = Path(__file__).parent / "reporting" / "templates"
_DIGITS = 12
_IMPORT = re.compile(
    r"^[ \t]*(?:from[ \t]+([.\w]+)[ \t]+import[ \t]+(\([^)]*\)|[^\n]*)|import[ \t]+([^\n]*))", re.MULTILINE
)
UNUSUAL = "a file with an unusual name"
"""Stands for a name of a manifest that could contain anything, such as commands for a terminal."""
_NAME = re.compile(r"[\w.]{1,200}(?:/\w{1,100}\.\w{1,5})?", re.ASCII)
"""Usual names of modules and templates. No other name of a manifest, which may come from elsewhere, becomes a path."""
_TEMPLATE = re.compile(r"[\"']([\w{}]+\.(?:html|svg|css|js))[\"']")


def code_of(module: str, plugins: Iterable[str] = ()) -> dict[str, Any]:
    """Every module and template that ``module`` and its plug-ins depend on within their packages.

    Args:
        module: of a stage, by its full name.
        plugins: by ``family/name``, as in an identity.

    Returns:
        ``files``, the hash of each, and ``sha256``, a hash of their bytes, which is faster to compare.
    """
    found: dict[str, str] = {}
    waiting = [module, *map(_plugin_module, plugins)]
    packages = {name.partition(".")[0] for name in waiting}
    while waiting:
        name = waiting.pop()
        path = None if name in found or name.partition(".")[0] not in packages else _file_of(name)
        if path is not None:
            found[name], needed = _examine(name, path, path.stat().st_mtime_ns)
            waiting += needed
    return {"sha256": _sha256(sorted(found)), "files": dict(sorted(found.items()))}


def changed_files(made: Mapping[str, Any], module: str, plugins: Iterable[str] = ()) -> list[str]:
    """The modules and templates that differ from those that made an artifact: changed, added or removed.

    Args:
        made: of the artifact's manifest, which nobody has checked. Without hashes, or with those of another minor
            version of Python, nothing is known, and the list is empty.
    """
    recorded: Any = made.get("code")
    version = [str(number) for number in sys.version_info[:2]]
    if not isinstance(recorded, dict) or str(made.get("python", "")).split(".")[:2] != version:
        return []
    files = recorded.get("files")
    if not isinstance(files, dict) or (all(map(_NAME.fullmatch, files)) and recorded.get("sha256") == _sha256(files)):
        return []
    now = code_of(module, plugins)["files"]
    changed = (name for name in files.keys() | now.keys() if files.get(name) != now.get(name))
    return sorted({name if name in now or _NAME.fullmatch(name) else UNUSUAL for name in changed})


def _sha256(names: Iterable[str]) -> str:
    """One hash over the bytes of files, given by name."""
    digest = hashlib.sha256()
    for name in names:
        path = _file_of(name)
        data = path.read_bytes() if path else b""
        digest.update(f"{name}\n{len(data)}\n".encode())
        digest.update(data)
    return digest.hexdigest()


@lru_cache(maxsize=4096)
def _examine(name: str, path: Path, modified: int) -> tuple[str, tuple[str, ...]]:
    """The hash of a file, and the names of what it needs; cached until the file is ``modified``."""
    data = path.read_bytes()
    text = data.decode("utf-8", "replace")
    needed = list(_templates(text)) if name.startswith(f"{PACKAGE}.reporting") else []
    if path.suffix != ".py":
        return hashlib.sha256(data).hexdigest()[:_DIGITS], tuple(needed)
    tree = ast.parse(data, str(path))
    _remove_docstrings(tree)
    code = compile(tree, str(path), "exec", dont_inherit=True, optimize=2)
    digest = hashlib.sha256(repr(_content(code)).encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]
    needed += [*_imports(text, name, path), *_members(name, path)]
    return digest, tuple(dict.fromkeys(needed))


def _remove_docstrings(block: ast.AST) -> None:
    """Remove the docstrings of a module, of its functions and of its classes."""
    body = getattr(block, "body", [])
    if isinstance(block, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        first = body[0] if body else None
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
            body[:1] = [] if len(body) > 1 else [ast.copy_location(ast.Pass(), first)]
    for branch in ("body", "orelse", "handlers", "finalbody", "cases"):
        for statement in getattr(block, branch, []) if not isinstance(block, ast.expr) else []:
            _remove_docstrings(statement)


def _content(constant: Any) -> Any:
    """A constant of bytecode, and code in it, without positions in the file; sets in one order."""
    if isinstance(constant, CodeType):
        names = (constant.co_name, constant.co_names, constant.co_varnames, constant.co_freevars, constant.co_cellvars)
        counts = (constant.co_argcount, constant.co_posonlyargcount, constant.co_kwonlyargcount, constant.co_flags)
        return constant.co_code, constant.co_exceptiontable, names, counts, _content(constant.co_consts)
    if isinstance(constant, frozenset):
        return sorted(repr(_content(one)) for one in constant)
    return tuple(map(_content, constant)) if isinstance(constant, tuple) else constant


def _imports(text: str, name: str, path: Path) -> Iterator[str]:
    """Full names of what a module imports; a name that is no module is none of ours, and nothing is found for it."""
    for base, names, plain in _IMPORT.findall(text):
        if plain:
            yield from (part.split()[0] for part in plain.split(",") if part.split())
            continue
        dots = len(base) - len(base.lstrip("."))
        if dots:
            above = name.split(".")[: -(dots - (path.name == "__init__.py")) or None]
            base = ".".join([*above, *filter(None, [base[dots:]])])
        yield base
        for part in re.sub(r"#[^\n]*", "", names).strip("()").split(","):
            if part.split():
                yield f"{base}.{part.split()[0]}"


def _members(name: str, path: Path) -> Iterator[str]:
    """The packages that a module is in, which are imported before it; and the plug-ins of a family used as a whole."""
    parts = name.split(".")
    yield from (".".join(parts[:count]) for count in range(2, len(parts)))
    if name in (f"{PACKAGE}.{family}" for family in USED_AS_A_WHOLE):
        yield from (f"{name}.{one.stem}" for one in path.parent.glob("*.py") if one.name != "__init__.py")


def _templates(text: str) -> Iterator[str]:
    """Names of the templates that a text names; one with a hole, such as ``study_{name}.html``, means all that fit."""
    patterns = {re.sub(r"{\w*}", "*", found) for found in _TEMPLATE.findall(text)}
    if patterns:
        names = (file.name for file in _TEMPLATES.iterdir())
        yield from (f"{PACKAGE}.reporting/{name}" for name in names if any(fnmatch(name, one) for one in patterns))


def _file_of(name: str) -> Path | None:
    """The file of a module or template; ``None`` for one that does not count, or that does not exist."""
    module, _, template = name.partition("/")
    if template:
        path = _TEMPLATES / template
        return path if path.is_file() else None
    package, *rest = module.split(".")
    if package == PACKAGE and (not rest or rest[0] in AROUND):
        return None
    for folder in _roots(package):
        place = folder.joinpath(*rest)
        for path in (place.with_suffix(".py") if rest else place / "__init__.py", place / "__init__.py"):
            if path.is_file():
                return path
    return None


def _roots(package: str) -> list[Path]:
    """The folders of a package: this one, or that of a plug-in, which is imported already."""
    if package == PACKAGE:
        return [Path(__file__).parent]
    loaded = sys.modules.get(package)
    return [Path(folder) for folder in getattr(loaded, "__path__", [])]


def _plugin_module(plugin: str) -> str:
    """The module of a plug-in: built in, by the path of a module, or by an entry point."""
    family, _, name = plugin.partition("/")
    group = f"{PACKAGE}.{FAMILIES.get(family, family)}"
    built_in = f"{group}.{name.replace('-', '_')}"
    if _file_of(built_in) is not None:
        return built_in
    declared = [point.value.partition(":")[0] for point in entry_points(group=group) if point.name == name]
    return declared[0] if declared else name
