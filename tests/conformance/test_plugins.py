"""Every plug-in that is found offers what its family's contract says; a new one is tested by being there."""

from __future__ import annotations

from types import ModuleType

import pytest

from iodine_kit.config import Config
from iodine_kit.datasets import DatasetPlugin
from iodine_kit.formats import FormatPlugin
from iodine_kit.layouts import LayoutPlugin
from iodine_kit.metrics import MetricPlugin
from iodine_kit.models import ModelPlugin
from iodine_kit.predictions.readers import PredictionsReaderPlugin
from iodine_kit.protocols import ProtocolPlugin
from iodine_kit.registry import Registry, offers
from iodine_kit.reporting.sections import SectionPlugin

FAMILIES = {
    "datasets": DatasetPlugin, "layouts": LayoutPlugin, "protocols": ProtocolPlugin, "formats": FormatPlugin,
    "models": ModelPlugin, "metrics": MetricPlugin, "predictions.readers": PredictionsReaderPlugin,
    "reporting.sections": SectionPlugin,
}  # fmt: skip


def _plugins() -> list[tuple[str, str]]:
    return [
        (family, name) for family in FAMILIES for name in Registry[ModuleType](family, f"iodine_kit.{family}").names()
    ]


@pytest.mark.parametrize(("family", "name"), _plugins())
def test_a_plugin_offers_all_that_its_contract_says(family: str, name: str) -> None:
    plugin = Registry[ModuleType](family, f"iodine_kit.{family}").load(name)
    missing = {offer for offer in offers(FAMILIES[family]) if not hasattr(plugin, offer)}
    assert not missing
    assert plugin.__doc__
    if hasattr(plugin, "Config"):
        assert issubclass(plugin.Config, Config) and plugin.Config.__doc__
        plugin.Config()  # every field has a default, so that a name alone is enough
    if hasattr(plugin, "VERSION"):
        assert plugin.VERSION >= 1


def test_each_family_has_plugins() -> None:
    assert {family for family, _ in _plugins()} == set(FAMILIES)
