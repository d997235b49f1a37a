"""Finds plug-ins by file: every module or package in a family's folder is one, named for its file.

``iodine_kit/metrics/ari_all.py`` is the metric ``ari-all``; names that start with ``_`` are helpers. Nothing is
imported before it is asked for, so a plug-in's dependencies cost nothing to those who do not use it.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from typing import Generic, TypeVar, cast

from iodine_kit.errors import UnknownNameError, did_you_mean

PluginT = TypeVar("PluginT")


class Registry(Generic[PluginT]):
    """The plug-ins of one family, for example ``Registry[MetricPlugin]("metric", "iodine_kit.metrics")``."""

    def __init__(self, family: str, package: str) -> None:
        self.family = family
        self.package = package

    def names(self) -> list[str]:
        """All plug-in names, sorted."""
        spec = importlib.util.find_spec(self.package)
        folders = spec.submodule_search_locations if spec else None
        modules = pkgutil.iter_modules(folders or [])
        return sorted(module.name.replace("_", "-") for module in modules if not module.name.startswith("_"))

    def load(self, name: str) -> PluginT:
        """Import and return the plug-in; raises :class:`UnknownNameError` with the nearest known name."""
        if name not in self.names():
            raise UnknownNameError(f"no {self.family} is called '{name}'{did_you_mean(name, self.names())}")
        return cast(PluginT, importlib.import_module(f"{self.package}.{name.replace('-', '_')}"))
