"""Precision, recomputation and compilation of IODINE, as a run configures them."""

from __future__ import annotations

import pytest
import torch
from mathematics.iodine_reference import TINY_SPRITES, tiny_image, tiny_model
from torch import Tensor, nn

from iodine_kit.errors import ConfigError
from iodine_kit.models import Computation
from iodine_kit.models.iodine.model import Iodine
from iodine_kit.records import Microbatch
from iodine_kit.training.config import TrainConfig, TrainExecution
from iodine_kit.training.resources import configure_model, numerics

CPU = torch.device("cpu")


def gradients(model: Iodine) -> tuple[Tensor, list[Tensor]]:
    """Loss and gradients of a step."""
    image = tiny_image(2).to(model.initial.dtype)
    terms = model(image, model.noise(torch.Generator().manual_seed(2), Microbatch(0, 2, 2)), 2)
    found = torch.autograd.grad(terms.loss, list(model.parameters()))
    return terms.loss.detach(), list(found)


@pytest.mark.parametrize(("precision", "expected"), [("float32", False), ("tf32", True), ("bfloat16", False)])
def test_precision_and_recomputation_reach_the_model_and_the_gpu(precision: str, expected: bool) -> None:
    model = tiny_model()
    config, execution = TrainConfig.model_validate({"precision": precision}), TrainExecution(recompute=True)
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    configure_model(model, config, execution, CPU)
    convolutions = "bfloat16" if precision == "bfloat16" else "float32"
    assert model.computation == Computation(precision=convolutions, recompute=True)
    with numerics(config, execution):
        assert torch.backends.cudnn.allow_tf32 is torch.backends.cuda.matmul.allow_tf32 is expected
    assert (torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32) == before


@pytest.mark.slow
@pytest.mark.parametrize("stopped", [None, ("components", "mask", "pred_mask", "posterior")])
def test_the_whole_step_is_one_graph_with_the_same_results(stopped: tuple[str, ...] | None) -> None:
    """Traced and differentiated as for every compiler, but then not compiled, which would take minutes."""
    five = ("counterfactual", "dcomponents", "dmask", "dzp", "log_prob")
    changes: dict[str, object] = {"stopped": (*five, *stopped)} if stopped else {}
    eager = tiny_model(TINY_SPRITES, **changes)
    traced = tiny_model(TINY_SPRITES, **changes)
    traced.compile(fullgraph=True, dynamic=False, backend="aot_eager")
    (loss, found), (expected_loss, expected) = gradients(traced), gradients(eager)
    torch.testing.assert_close(loss, expected_loss, rtol=1e-9, atol=1e-9)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


def test_bfloat16_is_used_by_convolutions_only_and_agrees_with_float32() -> None:
    """8 bits of significand: losses within 1 %, and gradients that point the same way (cosine above 0.99)."""
    (loss, exact) = gradients(tiny_model().float())
    model = tiny_model().float()
    model.computation = Computation(precision="bfloat16")
    seen: dict[str, set[torch.dtype]] = {}

    def note(name: str) -> object:
        return lambda module, given, result: seen.setdefault(name, set()).add(_first(result).dtype)

    for name, module in model.named_modules():
        if isinstance(module, nn.Linear) or "norms." in name:
            module.register_forward_hook(note(name))  # type: ignore[arg-type]
    rough_loss, rough = gradients(model)
    assert rough_loss.dtype == torch.float32
    assert set.union(*seen.values()) == {torch.float32}
    assert {gradient.dtype for gradient in rough} == {torch.float32}
    summed = dict(zip(dict(model.named_parameters()), rough, strict=True))["decoder.rest.0.weight"]
    assert not torch.equal(summed, summed.bfloat16().float())  # those of two decodes, added up in float32
    torch.testing.assert_close(rough_loss, loss, rtol=1e-2, atol=0)
    ours, theirs = (torch.cat([gradient.flatten() for gradient in found]) for found in (rough, exact))
    assert not torch.equal(ours, theirs)
    assert float(torch.cosine_similarity(ours, theirs, dim=0)) > 0.99


@pytest.mark.parametrize("backward", [False, True])
def test_a_failed_compilation_is_reported_in_one_sentence(backward: bool) -> None:
    from torch._dynamo.backends.common import aot_autograd
    from torch._inductor.exc import CppCompileError

    def broken(graph: object, inputs: object) -> object:
        raise CppCompileError(["g++"], "no such compiler") if backward else OSError("no C++ compiler")

    model = tiny_model()
    backend = aot_autograd(fw_compiler=lambda graph, inputs: graph, bw_compiler=broken) if backward else broken
    model.compile(backend=backend)
    message = (
        r"train\.compile: PyTorch cannot compile here \((no C\+\+|C\+\+ compile error).*\): use train\.compile=off"
    )
    with pytest.raises(ConfigError, match=message), numerics(TrainConfig(), TrainExecution(compile="on")):
        gradients(model)


def _first(result: Tensor | tuple[Tensor, ...]) -> Tensor:
    return result if isinstance(result, Tensor) else result[0]
