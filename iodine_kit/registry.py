"""Find plug-ins by file name: every module or package in a family's folder is one plug-in.

``iodine_kit/metrics/ari_all.py`` is the metric ``ari-all``; names that start with ``_`` are helpers. A plug-in is
imported when it is first used, so its dependencies cost nothing to users who do not need it.

Third-party packages can add plug-ins in two ways: by module path (a name with a dot, such as
``my_lab.datasets.blocks``) or by an entry point in the family's group (such as ``iodine_kit.datasets``).
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import sys
from collections.abc import Callable
from functools import lru_cache
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from iodine_kit.errors import UnknownNameError, did_you_mean

PluginT = TypeVar("PluginT")
third_party: set[str] = set()
"""Names of the packages, or modules outside any, of the third-party plug-ins that this process has imported."""


class Registry(Generic[PluginT]):
    """The plug-ins of one family, for example ``Registry[MetricPlugin]("metric", "iodine_kit.metrics", MetricPlugin)``.

    A registry lives in the ``__init__`` of its family's package, beside the contract.
    """

    def __init__(self, family: str, package: str, contract: type, group: str = "") -> None:
        """Describe a family without importing any plug-in.

        Args:
            family: what one plug-in is called in messages, such as ``metric``.
            package: the package whose modules are the built-in plug-ins.
            contract: protocol whose public members every third-party plug-in must define.
            group: entry-point group of third-party plug-ins; defaults to ``package``.
        """
        self.family = family
        self.package = package
        self.contract = contract
        self.group = group or package
        self._loaded: dict[str, PluginT] = {}  # listing a folder takes longer than processing a small scene

    def names(self) -> list[str]:
        """Names of the built-in plug-ins and of those with an entry point, sorted."""
        return sorted({*self.built_in(), *self._entry_points()})

    def canonical(self, name: str) -> str:
        """The name of the plug-in that ``name`` spells in upper or lower case; an unknown name as it is."""
        known = self.names()
        return name.lower() if name not in known and name.lower() in known else name

    def load(self, name: str) -> PluginT:
        """Import and return the plug-in.

        Raises:
            UnknownNameError: if there is no such plug-in (the message suggests the nearest name), if it cannot be
                imported, or if it does not define everything that the contract requires.
        """
        if name not in self._loaded:
            self._loaded[name] = self._load(name)
        return self._loaded[name]

    def built_in(self) -> list[str]:
        """Names of the plug-ins that are part of this package."""
        spec = importlib.util.find_spec(self.package)
        folders = spec.submodule_search_locations if spec else None
        modules = pkgutil.iter_modules(folders or [])
        return [module.name.replace("_", "-") for module in modules if not module.name.startswith("_")]

    def suggest(self, name: str) -> str:
        """The end of a message about an unknown name: the nearest known name, or all."""
        return did_you_mean(name, self.names())

    def _load(self, name: str) -> PluginT:
        if name in self.built_in():
            return cast(PluginT, importlib.import_module(f"{self.package}.{name.replace('-', '_')}"))
        declared = self._entry_points()
        if name in declared:
            return self._import_third_party(declared[name].value, lambda: declared[name].load())
        if "." in name and all(part.isidentifier() for part in name.split(".")):
            return self._import_third_party(name, lambda: _import_from_working_directory(name))
        raise UnknownNameError(f"no {self.family} is called '{name}'{self.suggest(name)}")

    def _entry_points(self) -> dict[str, EntryPoint]:
        return {point.name: point for point in _declared(self.group, tuple(sys.path))}

    def _import_third_party(self, path: str, load: Callable[[], Any]) -> PluginT:
        try:
            plugin = load()
        except Exception as error:  # importing third-party code may raise anything
            reason = " ".join(str(error).split()) or type(error).__name__
            raise UnknownNameError(f"{self.family} '{path}' cannot be imported: {reason}") from error
        missing = sorted(member for member in required_members(self.contract) if not hasattr(plugin, member))
        if missing:
            raise UnknownNameError(f"'{path}' is not a valid {self.family}: it does not define {', '.join(missing)}")
        third_party.add(path.partition(":")[0].partition(".")[0])
        return cast(PluginT, plugin)


@lru_cache(maxsize=64)
def _declared(group: str, search_path: tuple[str, ...]) -> EntryPoints:
    """The entry points of a group in the search path: finding them reads a file of every installed package."""
    return entry_points(group=group)


def _import_from_working_directory(path: str) -> Any:
    """Import a module; the working directory comes last in the search path, for plug-ins under development."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    return importlib.import_module(path)


def required_members(contract: type) -> set[str]:
    """The public names that a contract requires of its plug-ins."""
    return {name for name in {*contract.__annotations__, *vars(contract)} if not name.startswith("_")}
