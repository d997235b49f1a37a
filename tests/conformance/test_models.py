"""What every model plug-in offers beyond the names of its contract."""

from __future__ import annotations

import pytest

from iodine_kit.models import MODELS


@pytest.mark.parametrize("name", MODELS.names())
def test_the_default_presets_are_presets(name: str) -> None:
    plugin = MODELS.load(name)
    assert set(plugin.DEFAULT_PRESETS.values()) <= set(plugin.PRESETS)


@pytest.mark.parametrize("name", MODELS.names())
def test_test_time_options_are_fields_of_the_configuration_with_their_trained_values(name: str) -> None:
    plugin = MODELS.load(name)
    for config in [plugin.Config(), *(plugin.Config.model_validate({"preset": preset}) for preset in plugin.PRESETS)]:
        options = plugin.test_time_options(config)
        assert set(options) <= {"slots", "steps"}
        assert options.items() <= config.model_dump().items()
        changed = {key: value + 1 for key, value in options.items()}
        assert plugin.test_time_options(config.model_copy(update=changed)) == changed
