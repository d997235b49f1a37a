"""Finds plug-ins by file: every module or package in a family's folder is one, named for its file.

``iodine_kit/metrics/ari_all.py`` is the metric ``ari-all``; names that start with ``_`` are helpers. Nothing is
imported before it is asked for, so a plug-in's dependencies cost nothing to those who do not use it.

Other packages bring plug-ins too: a name with a dot is a module's path (``my_lab.datasets.blocks``), and what a package
declares as an entry point of the group ``iodine_kit.datasets`` (and so on) is found by its name.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from iodine_kit.errors import UnknownNameError, did_you_mean

PluginT = TypeVar("PluginT")


class Registry(Generic[PluginT]):
    """The plug-ins of one family, for example ``Registry[MetricPlugin]("metric", "iodine_kit.metrics")``."""

    def __init__(self, family: str, package: str, contract: type | None = None, group: str = "") -> None:
        """``contract`` is the protocol that third-party plug-ins are held to; ``group`` names their entry points."""
        self.family = family
        self.package = package
        self.group = group or package
        self.contract = contract
        self._loaded: dict[str, PluginT] = {}  # looking into folders takes longer than the work on a small scene

    def names(self) -> list[str]:
        """All plug-in names, sorted; modules that nobody declared can only be asked for by their path."""
        return sorted({*self.own(), *self._declared()})

    def load(self, name: str) -> PluginT:
        """Import and return the plug-in.

        Raises:
            UnknownNameError: with the nearest known name; or if a module is not there or not a plug-in.
        """
        if name not in self._loaded:
            self._loaded[name] = self._load(name)
        return self._loaded[name]

    def _load(self, name: str) -> PluginT:
        if name in self.own():
            return cast(PluginT, importlib.import_module(f"{self.package}.{name.replace('-', '_')}"))
        declared = self._declared()
        if name in declared:
            return self._checked(declared[name].value, lambda: declared[name].load())
        if "." in name:
            return self._checked(name, lambda: _module_from_here(name))
        raise UnknownNameError(f"no {self.family} is called '{name}'{did_you_mean(name, self.names())}")

    def own(self) -> list[str]:
        """The names of this package's own plug-ins."""
        spec = importlib.util.find_spec(self.package)
        folders = spec.submodule_search_locations if spec else None
        modules = pkgutil.iter_modules(folders or [])
        return [module.name.replace("_", "-") for module in modules if not module.name.startswith("_")]

    def _declared(self) -> dict[str, EntryPoint]:
        return {point.name: point for point in entry_points(group=self.group)}

    def _checked(self, path: str, load: Callable[[], Any]) -> PluginT:
        try:
            plugin = load()
        except Exception as error:  # whatever the code of strangers may raise while it is imported
            reason = " ".join(str(error).split()) or type(error).__name__
            raise UnknownNameError(f"{self.family} '{path}' cannot be imported: {reason}") from error
        missing = sorted(offer for offer in offers(self.contract) if not hasattr(plugin, offer))
        if missing:
            raise UnknownNameError(f"{path} is no {self.family}: it lacks {', '.join(missing)}")
        return cast(PluginT, plugin)


def _module_from_here(path: str) -> Any:
    """Import a module, be it from the working directory: where a person keeps what they are working on."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    return importlib.import_module(path)


def offers(contract: type | None) -> set[str]:
    """The names that a contract asks of its plug-ins."""
    if contract is None:
        return set()
    return {name for name in {*contract.__annotations__, *vars(contract)} if not name.startswith("_")}
