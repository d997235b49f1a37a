"""Inference: whatever the caller's gradient mode, other K and T, batch composition, symmetry of the slots."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from mathematics.iodine_reference import TINY_CLEVR, TINY_SPRITES, TINY_TETROMINOES, tiny_image, tiny_model
from torch import Generator, Tensor

from iodine_kit.errors import IodineKitError
from iodine_kit.models import Computation, Inference
from iodine_kit.models.iodine import model as model_module
from iodine_kit.models.iodine.model import Iodine

EXACT = {"rtol": 1e-9, "atol": 1e-9}
FIELDS = ("mask_BKHW", "mean_BKCHW", "reconstruction_BCHW", "loc_BKZ", "scale_BKZ", "nll_BS", "kl_BS")


@pytest.fixture(autouse=True, params=["by formula", "automatically"])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every law holds however the gradients are computed."""
    how = Computation(closed_form=request.param == "by formula")
    monkeypatch.setattr(model_module, "Computation", lambda: how)


def seeded() -> Generator:
    """The generator of every run here."""
    return Generator().manual_seed(4)


def assert_same(found: Inference, expected: Inference, **tolerance: float) -> None:
    """Every field agrees."""
    for name in FIELDS:
        torch.testing.assert_close(getattr(found, name), getattr(expected, name), **(tolerance or EXACT))
    assert torch.equal(found.step_mask_BSHW, expected.step_mask_BSHW)


@pytest.fixture
def use_noise(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[Tensor]], None]:
    """Let the samples of the next run take their noise from a list instead of a generator."""

    def use(noise: list[Tensor]) -> None:
        def draw(generator: Generator | None, decodes: int, *shape: object) -> Tensor:
            assert generator is None
            assert decodes == len(noise)
            return torch.stack(noise)

        monkeypatch.setattr(model_module, "draw_noise", draw)

    return use


def noise_per_slot(batch: int, slots: int, latent: int, decodes: int = 3) -> list[Tensor]:
    """Noise per decode, ``[B, K, Z]``."""
    generator = Generator().manual_seed(8)
    return [torch.randn((batch, slots, latent), generator=generator, dtype=torch.float64) for _ in range(decodes)]


@pytest.mark.parametrize("values", [TINY_CLEVR, TINY_SPRITES, TINY_TETROMINOES])
def test_inference_does_not_depend_on_frozen_parameters_or_gradient_mode(values: dict[str, object]) -> None:
    model, image = tiny_model(values), tiny_image(2)
    expected = model.infer(image, seeded())
    with torch.no_grad():
        assert_same(model.infer(image, seeded()), expected, rtol=0, atol=0)
    model.requires_grad_(False)
    assert_same(model.infer(image, seeded()), expected, rtol=0, atol=0)
    with torch.no_grad():
        assert_same(model.infer(image, seeded()), expected, rtol=0, atol=0)


def test_inference_works_under_inference_mode_too() -> None:
    model, image = tiny_model(), tiny_image(2)
    expected = model.infer(image, seeded())
    with torch.inference_mode():
        assert_same(model.infer(image, seeded()), expected, rtol=0, atol=0)
        assert_same(model.infer(image.clone(), seeded()), expected, rtol=0, atol=0)


def test_inference_leaves_no_gradients_and_no_graph_behind() -> None:
    model = tiny_model()
    found = model.infer(tiny_image(1), seeded())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(getattr(found, name).requires_grad for name in FIELDS)


def test_inference_does_not_touch_the_image_or_the_parameters() -> None:
    model, image = tiny_model(), tiny_image(1)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    kept = image.clone()
    model.infer(image, seeded())
    assert torch.equal(image, kept)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_inference_equals_the_decodes_of_training() -> None:
    model, image = tiny_model(), tiny_image(2)
    found = model.infer(image, seeded())
    terms = model.loss(image, seeded())
    torch.testing.assert_close(found.nll_BS.mean(0), terms.nll_T, **EXACT)
    torch.testing.assert_close(found.kl_BS.mean(0), terms.kl_TK.sum(1), **EXACT)


def test_what_inference_returns_is_consistent() -> None:
    model, image = tiny_model(), tiny_image(2)
    found = model.infer(image, seeded())
    assert found.step_mask_BSHW.shape == (2, 3, 7, 6)
    assert found.step_mask_BSHW.dtype == torch.uint8
    torch.testing.assert_close(found.mask_BKHW.sum(1), torch.ones(2, 7, 6, dtype=torch.float64), **EXACT)
    assert torch.equal(found.step_mask_BSHW[:, -1].long(), found.mask_BKHW.argmax(1))
    blend = sum(found.mask_BKHW[:, k, None] * found.mean_BKCHW[:, k] for k in range(3))
    torch.testing.assert_close(found.reconstruction_BCHW, blend, **EXACT)
    assert found.nll_BS.shape == found.kl_BS.shape == (2, 3)


@pytest.mark.parametrize("slots", [2, 4, 7])
def test_number_of_slots_can_change_at_test_time(slots: int) -> None:
    model = tiny_model()
    image = tiny_image(2)
    found = model.infer(image, seeded(), slots=slots)
    assert found.mask_BKHW.shape == (2, slots, 7, 6)
    assert torch.isfinite(found.nll_BS).all()
    trained_so = tiny_model(slots=slots)
    trained_so.load_state_dict(model.state_dict())
    assert_same(found, trained_so.infer(image, seeded()), rtol=0, atol=0)


def test_one_slot_at_test_time_is_possible_without_counterfactual() -> None:
    names = ["components", "image", "dmask", "dzp", "zp"]
    found = tiny_model(inputs=names).infer(tiny_image(2), seeded(), slots=1)
    assert torch.isfinite(found.nll_BS).all()
    assert (found.mask_BKHW == 1).all()


def test_one_slot_at_test_time_is_refused_where_counterfactual_is_an_input() -> None:
    with pytest.raises((IodineKitError, ValueError)):
        tiny_model().infer(tiny_image(1), seeded(), slots=1)


@pytest.mark.parametrize("steps", [0, 1, 5])
def test_number_of_refinements_can_change_at_test_time(steps: int) -> None:
    found = tiny_model().infer(tiny_image(2), seeded(), steps=steps)
    assert found.nll_BS.shape == (2, steps + 1)
    assert torch.isfinite(found.nll_BS).all()


@pytest.mark.parametrize("values", [TINY_CLEVR, TINY_TETROMINOES])
def test_a_longer_run_begins_with_the_shorter_one(values: dict[str, object]) -> None:
    model, image = tiny_model(values), tiny_image(2)
    short, long = (model.infer(image, seeded(), steps=steps) for steps in (2, 5))
    torch.testing.assert_close(long.nll_BS[:, :3], short.nll_BS, rtol=0, atol=0)
    torch.testing.assert_close(long.kl_BS[:, :3], short.kl_BS, rtol=0, atol=0)
    assert torch.equal(long.step_mask_BSHW[:, :3], short.step_mask_BSHW)
    assert not torch.equal(long.loc_BKZ, short.loc_BKZ)


def test_the_same_generator_seed_gives_the_same_inference_and_another_another() -> None:
    model, image = tiny_model(), tiny_image(1)
    expected = model.infer(image, seeded())
    assert_same(model.infer(image, seeded()), expected, rtol=0, atol=0)
    other = model.infer(image, Generator().manual_seed(5))
    assert not torch.equal(other.nll_BS, expected.nll_BS)


@pytest.mark.parametrize("values", [TINY_CLEVR, TINY_SPRITES, TINY_TETROMINOES])
@pytest.mark.parametrize("reduction", ["per-image", "batch-mean"])
def test_inference_is_independent_of_the_batch_only_with_the_per_image_reduction(
    reduction: str, values: dict[str, object], use_noise: Callable[[list[Tensor]], None]
) -> None:
    model, image = tiny_model(values, gradient_reduction=reduction), tiny_image(4)
    noise = noise_per_slot(4, 3, 2)
    use_noise([one.flatten(0, 1) for one in noise])
    together = model.infer(image, None)
    differences = []
    for b in range(4):
        use_noise([one[b] for one in noise])
        alone = model.infer(image[b : b + 1], None)
        torch.testing.assert_close(alone.nll_BS[0, 0], together.nll_BS[b, 0], **EXACT)  # nothing refined yet
        differences.append(float((alone.nll_BS[0] - together.nll_BS[b]).abs().max()))
    assert (max(differences) < 1e-8) == (reduction == "per-image")


def test_both_reductions_agree_for_a_batch_of_one() -> None:
    image = tiny_image(1)
    one, other = (tiny_model(gradient_reduction=name).infer(image, seeded()) for name in ("per-image", "batch-mean"))
    assert_same(one, other)


def test_permuting_the_noise_of_slots_permutes_the_slots(use_noise: Callable[[list[Tensor]], None]) -> None:
    model, image = tiny_model(slots=4), tiny_image(2)
    noise, order = noise_per_slot(2, 4, 2), torch.tensor([3, 1, 0, 2])
    use_noise([one.flatten(0, 1) for one in noise])
    before = model.infer(image, None)
    use_noise([one[:, order].flatten(0, 1) for one in noise])
    after = model.infer(image, None)
    torch.testing.assert_close(after.nll_BS, before.nll_BS, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(after.loc_BKZ, before.loc_BKZ[:, order], rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(after.mask_BKHW, before.mask_BKHW[:, order], rtol=1e-8, atol=1e-8)


def spread_of_slots(model: Iodine, noise: list[Tensor]) -> float:
    """Largest difference between any slot and the first."""
    found = model.infer(tiny_image(2), None, steps=len(noise) - 1)
    values = (found.mean_BKCHW, found.mask_BKHW, found.loc_BKZ, found.scale_BKZ)
    return max(float((value - value[:, :1]).abs().max()) for value in values)


def test_only_noise_breaks_the_symmetry_of_slots(use_noise: Callable[[list[Tensor]], None]) -> None:
    model = tiny_model()
    zero = [torch.zeros(6, 2, dtype=torch.float64) for _ in range(4)]
    use_noise(zero)
    assert spread_of_slots(model, zero) < 1e-9
    noise = [one.flatten(0, 1) for one in noise_per_slot(2, 3, 2, decodes=4)]
    use_noise(noise)
    assert spread_of_slots(model, noise) > 1e-3


def test_all_slots_and_images_start_from_one_posterior() -> None:
    model = tiny_model()
    noise = torch.stack([one.flatten(0, 1) for one in noise_per_slot(2, 3, 2, decodes=1)])
    (first,) = model.iterate(tiny_image(2), noise, 3, training=False)
    torch.testing.assert_close(first.zp_NL, model.initial.expand(6, -1), rtol=0, atol=0)
    means = first.mean_BKCHW.detach()
    assert float((means - means[:, :1]).abs().max()) > 1e-3


@pytest.mark.parametrize("values", [TINY_CLEVR, TINY_SPRITES, TINY_TETROMINOES])
def test_float32_inference_follows_float64(
    values: dict[str, object], use_noise: Callable[[list[Tensor]], None]
) -> None:
    model, image = tiny_model(values), tiny_image(2)
    noise = [one.flatten(0, 1) for one in noise_per_slot(2, 3, 2)]
    use_noise(noise)
    exact = model.infer(image, None)
    use_noise([one.float() for one in noise])
    rough = model.float().infer(image.float(), None)
    torch.testing.assert_close(rough.nll_BS.double(), exact.nll_BS, rtol=1e-3, atol=1e-2)
