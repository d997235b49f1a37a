"""Configuration: presets, fields beside them, and choices that contradict each other."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from iodine_kit.config import build
from iodine_kit.errors import ConfigError, ImageSizeError
from iodine_kit.models.iodine import check_image
from iodine_kit.models.iodine.config import FLAT_INPUTS, PRESETS, SPATIAL_INPUTS, IodineConfig, preset


def configured(**values: object) -> IodineConfig:
    """As the command line builds it."""
    return build(IodineConfig, values, "model")


@pytest.mark.parametrize(
    ("name", "slots", "latent", "kernel", "coordinates"),
    [
        ("release-clevr6", 7, 64, 3, "linear"),
        ("release-multi-dsprites", 6, 16, 5, "cosine"),
        ("release-tetrominoes", 4, 32, 5, "cosine"),
    ],
)
def test_release_presets_hold_the_released_choices(
    name: str, slots: int, latent: int, kernel: int, coordinates: str
) -> None:
    config = configured(preset=name)
    assert (config.slots, config.steps, config.latent) == (slots, 5, latent)
    assert (config.likelihood, config.likelihood_scale) == ("mixture-logistic", 0.03)
    assert (config.posterior_scale, config.prior) == ("sqrt-softplus", "zero-parameters")
    assert (config.initial_posterior, config.learn_initial) == ("glorot-uniform", True)
    assert (config.step_weights, config.beta, config.truncate) == ("linear", 1.0, False)
    assert config.gradient_reduction == "batch-mean"
    assert config.inputs == SPATIAL_INPUTS + FLAT_INPUTS
    assert set(config.normalised) == {"counterfactual", "dcomponents", "dmask", "dzp", "log_prob"}
    assert config.normalised == config.stopped
    assert (config.decoder.kernel, config.refinement.kernel, config.refinement.stride) == (kernel, kernel, 2)
    assert (config.decoder.constant, config.decoder.coordinates, config.decoder.rgb) == (5.0, "linear", "linear")
    assert config.refinement.coordinates == coordinates


@pytest.mark.parametrize(
    ("name", "mlp", "stride"),
    [("paper-clevr6", (256,), 2), ("paper-multi-dsprites", (128,), 1), ("paper-tetrominoes", (128,), 1)],
)
def test_paper_presets_hold_what_is_reported_of_the_paper(name: str, mlp: tuple[int, ...], stride: int) -> None:
    config = configured(preset=name)
    assert (config.likelihood, config.likelihood_scale) == ("mixture-gaussian", 0.1)
    assert config.prior == "standard-normal"
    assert (config.refinement.mlp, config.refinement.stride) == (mlp, stride)
    assert "capacity" not in config.inputs
    assert (config.steps, config.step_weights) == (4, "linear-from-one")  # five decodes


def test_defaults_are_the_release_for_clevr6() -> None:
    assert configured() == configured(preset="release-clevr6")


@pytest.mark.parametrize("name", PRESETS)
def test_fields_beside_a_preset_win_and_leave_the_rest(name: str) -> None:
    plain, changed = configured(preset=name), configured(preset=name, slots=9, decoder={"channels": [8]})
    assert changed.slots == 9
    assert changed.decoder.channels == (8,)
    assert changed.decoder.kernel == plain.decoder.kernel
    assert changed.decoder.constant == plain.decoder.constant
    changes = {"slots", "decoder"}
    assert changed.model_dump(exclude=changes) == plain.model_dump(exclude=changes)


@pytest.mark.parametrize("name", PRESETS)
def test_expanded_preset_is_a_configuration_of_its_own(name: str) -> None:
    config = configured(preset=name)
    assert IodineConfig.model_validate(config.model_dump()) == config
    assert IodineConfig.model_validate_json(config.model_dump_json()) == config


def test_changing_a_copy_of_a_preset_leaves_the_preset() -> None:
    copy = preset("release-clevr6")
    copy["decoder"]["kernel"] = 31
    configured(preset="release-clevr6", decoder={"kernel": 9})
    assert configured(preset="release-clevr6").decoder.kernel == 3


def test_unknown_preset_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match="release-clevr6"):
        configured(preset="release-clever6")


@pytest.mark.parametrize(
    ("values", "nearest"),
    [
        ({"slot": 3}, "slots"),
        ({"preset": "release-clevr6", "laten": 3}, "latent"),
        ({"decoder": {"kernal": 3}}, "kernel"),
    ],
)
def test_unknown_key_is_refused_with_the_nearest_one(values: dict[str, object], nearest: str) -> None:
    with pytest.raises(ConfigError, match=nearest):
        configured(**values)


@pytest.mark.parametrize(
    "values",
    [
        {"slots": 0}, {"steps": -1}, {"latent": 0}, {"likelihood_scale": 0}, {"likelihood_scale": float("nan")},
        {"likelihood": "gaussian"}, {"beta": -1}, {"decoder": {"kernel": 4}}, {"refinement": {"mlp": []}},
        {"inputs": ["dzp", "zp"]}, {"inputs": ["pictures"]},
    ],
)  # fmt: skip
def test_impossible_values_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        configured(**values)


def test_one_slot_is_refused_with_counterfactual_and_possible_without() -> None:
    with pytest.raises(ConfigError, match="counterfactual"):
        configured(slots=1)
    names = [name for name in SPATIAL_INPUTS + FLAT_INPUTS if name != "counterfactual"]
    assert configured(slots=1, inputs=names).slots == 1


def test_inputs_have_one_order_however_they_are_given() -> None:
    one, other = configured(inputs=["zp", "image", "mask", "image"]), configured(inputs=["mask", "image", "zp"])
    assert one == other
    assert one.inputs == ("image", "mask", "zp")


def test_configuration_cannot_be_changed_once_built() -> None:
    with pytest.raises(ValidationError):
        configured().slots = 3


def test_images_whose_grid_is_smaller_than_the_kernel_are_refused() -> None:
    config = configured(decoder={"kernel": 3, "patch": 4}, refinement={"channels": [2]})
    check_image(config, 9, 9)  # a grid of 3×3
    with pytest.raises(ImageSizeError, match="9×9"):
        check_image(config, 8, 20)


def test_images_with_fewer_patches_than_the_refinement_network_needs_are_refused() -> None:
    config = configured(decoder={"kernel": 1}, refinement={"channels": [2, 2], "patch": 5, "stride": 2})
    check_image(config, 10, 10)
    with pytest.raises(ImageSizeError, match="10×10"):
        check_image(config, 9, 20)


def test_images_smaller_than_the_net_needs_are_refused() -> None:
    config = configured(decoder={"kernel": 5}, refinement={"channels": [2, 2]})
    check_image(config, 5, 5)
    for size in ((4, 9), (9, 4)):
        with pytest.raises(ImageSizeError, match="5×5"):
            check_image(config, *size)
