"""Every plug-in of every registry defines what the contract of its family requires; new ones are included."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import iodine_kit
from iodine_kit.config import Config
from iodine_kit.errors import UnknownNameError
from iodine_kit.registry import Registry, required_members

NOT_IMPORTED = ("iodine_kit.__main__", "iodine_kit.datasets._clevr_blender.")
"""``__main__`` runs the command line; the files beside Blender's client run in Blender's Python only."""


def _modules() -> list[ModuleType]:
    names = [module.name for module in pkgutil.walk_packages(iodine_kit.__path__, "iodine_kit.")]
    return [importlib.import_module(name) for name in names if not name.startswith(NOT_IMPORTED)]


def _registries() -> list[Registry[Any]]:
    values = [value for module in _modules() for value in vars(module).values()]
    unique = {id(value): value for value in values if isinstance(value, Registry)}
    return sorted(unique.values(), key=lambda registry: registry.package)


REGISTRIES = _registries()
PLUGINS = [(registry, name) for registry in REGISTRIES for name in registry.built_in()]
each_registry = pytest.mark.parametrize("registry", REGISTRIES, ids=lambda registry: registry.family)


def test_each_of_the_ten_families_has_one_registry() -> None:
    families = ["datasets", "engines", "formats", "layouts", "metrics", "models", "predictions.readers", "protocols"]
    families += ["reporting.sections", "studies"]
    assert [registry.package for registry in REGISTRIES] == [f"iodine_kit.{family}" for family in families]


@each_registry
def test_a_registry_has_plugins_and_a_contract_from_the_package_of_its_family(registry: Registry[Any]) -> None:
    assert registry.built_in()
    assert registry.contract.__module__ == registry.package
    assert len(required_members(registry.contract)) >= 2


@pytest.mark.parametrize(("registry", "name"), PLUGINS, ids=[f"{one.family} {name}" for one, name in PLUGINS])
def test_a_plugin_defines_what_its_contract_requires(registry: Registry[Any], name: str) -> None:
    plugin = registry.load(name)
    missing = {member for member in required_members(registry.contract) if not hasattr(plugin, member)}
    assert not missing
    assert plugin.__doc__
    if hasattr(plugin, "Config"):
        assert issubclass(plugin.Config, Config) and plugin.Config.__doc__
        plugin.Config()  # every field has a default, so that a name alone is enough
    if hasattr(plugin, "VERSION"):
        assert plugin.VERSION >= 1


@each_registry
def test_a_third_party_plugin_that_lacks_a_member_gets_one_clear_error(
    registry: Registry[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, *others = sorted(required_members(registry.contract))
    package = f"third_party_{registry.package.replace('.', '_')}"
    (tmp_path / package).mkdir()
    (tmp_path / package / "plugin.py").write_text("".join(f"{member} = None\n" for member in others))
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UnknownNameError) as caught:
        registry.load(f"{package}.plugin")
    assert str(caught.value) == f"'{package}.plugin' is not a valid {registry.family}: it does not define {first}"
