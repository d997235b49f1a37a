"""The estimate of a step against a calculation by hand, torch's counter on a real step, and a real process."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from iodine_kit.errors import MemoryLimitError
from iodine_kit.models import LossTerms, iodine
from iodine_kit.records import Microbatch
from iodine_kit.training import resources
from iodine_kit.training.config import TrainConfig
from iodine_kit.training.estimate import Estimate, estimate_step, with_copies
from iodine_kit.training.resources import refuse_too_large

SMALL = {
    "slots": 3, "steps": 2, "latent": 4, "decoder": {"channels": [8, 8]},
    "refinement": {"channels": [8, 8], "mlp": [16], "lstm": 16},
}  # fmt: skip


class Chain(nn.Module):
    """loss = Σ exp(exp(w ⊙ image)): its backward pass needs the image and both exponentials."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(3, 1, 1))

    def loss(self, image: Tensor, generator: torch.Generator, microbatch: Microbatch | None = None) -> LossTerms:
        loss = (image * self.weight).exp().exp().sum()
        return LossTerms(loss, loss, loss, loss.detach()[None], loss.detach()[None, None])


class Layer(nn.Module):
    """A matrix product of 2 · rows · 3 · 5 operations forward, and as many for the gradient of the weights."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 5, bias=False)

    def loss(self, image: Tensor, generator: torch.Generator, microbatch: Microbatch | None = None) -> LossTerms:
        loss = self.layer(image.mean((2, 3))).sum()
        return LossTerms(loss, loss, loss, loss.detach()[None], loss.detach()[None, None])


def test_memory_is_the_largest_sum_of_tensors_at_one_moment() -> None:
    """At the start of the backward pass: the image, both exponentials, the gradient of the outer one, and the bytes.

    Each operation of the backward pass then frees as much as it allocates.
    """
    height, width = 100, 80
    found = estimate_step(Chain(), 2, height, width)
    image = 4 * 2 * 3 * height * width
    assert found.parameters == 3
    assert (found.weight_bytes, found.gradient_bytes, found.moment_bytes) == (12, 12, 28)  # Adam counts its steps too
    assert found.peak_bytes == found.activation_bytes + 52
    assert found.checkpoint_bytes == 40
    in_images = (found.activation_bytes - image // 4) / image
    assert in_images == pytest.approx(4, abs=1e-3)


def test_operations_are_those_of_matrix_products_forward_and_backward() -> None:
    assert estimate_step(Layer(), 4, 6, 6).flops == 2 * (2 * 4 * 3 * 5)
    assert estimate_step(Layer(), 4, 6, 6).flops_per_image == 60


def test_microbatches_need_less_memory_and_the_same_number_of_operations() -> None:
    whole = estimate_step(Chain(), 8, 50, 50)
    parts = estimate_step(Chain(), 8, 50, 50, [Microbatch(first, 2, 8) for first in (0, 2, 4, 6)])
    assert parts.activation_bytes / whole.activation_bytes == pytest.approx(0.25, rel=0.02)
    assert parts.batch_size == whole.batch_size == 8
    halves = [Microbatch(0, 4, 8), Microbatch(4, 4, 8)]
    assert estimate_step(Layer(), 8, 5, 5, halves).flops == estimate_step(Layer(), 8, 5, 5).flops


def test_the_estimate_does_not_depend_on_the_device_of_the_model() -> None:
    """If memory runs out, the model is already on the GPU; here, the device "meta" replaces it."""
    there = Chain().to("meta")
    assert estimate_step(there, 2, 30, 20) == estimate_step(Chain(), 2, 30, 20)
    assert there.weight.is_meta


def test_copies_of_the_weights_are_counted() -> None:
    plain, kept = estimate_step(Chain(), 2, 30, 20), TrainConfig(validate_every=1, select="best", ema=0.9)
    assert with_copies(plain, TrainConfig()) == plain
    found = with_copies(plain, kept)
    assert (found.average_bytes, found.mirror_bytes, found.best_bytes) == (12, 12, 12)
    assert found.peak_bytes == plain.peak_bytes + 36
    assert found.checkpoint_bytes == plain.checkpoint_bytes + 24  # validation's copy is in none
    assert with_copies(plain, TrainConfig(validate_every=1)).peak_bytes == plain.peak_bytes + 12


def test_nothing_is_computed_and_the_model_does_not_change() -> None:
    model = Chain()
    assert estimate_step(model, 10**6, 1000, 1000).peak_bytes > 10**13  # no machine has that
    assert type(model.weight.data) is Tensor
    assert model.weight.grad is None
    assert model.weight.tolist() == [[[0.0]]] * 3


def test_the_operations_of_iodine_are_those_that_torch_counts_on_a_real_step() -> None:
    model = iodine.build(iodine.Config(**SMALL), 0)
    with FlopCounterMode(display=False) as counter:
        model.loss(torch.rand(2, 3, 16, 16), torch.Generator().manual_seed(0)).loss.backward()
    assert estimate_step(model, 2, 16, 16).flops == counter.get_total_flops() > 0


def test_the_sentence_and_the_facts() -> None:
    found = Estimate(8, 35, 35, 1, 2, 10**6, 10**6, 2 * 10**6, 10**10)
    assert found.sentence() == "the estimate for a step of 8 images of 35×35 was 10.0 GB"
    assert found.facts()["peak_bytes"] == 10_004_000_000


# A separate process, because tests fill the memory of this one. A tiny step first loads the libraries of torch. The C
# library must return freed memory at once (below); how much memory it keeps for later differs from run to run.
STEP = """
import json, sys
import torch
from iodine_kit.models import Computation, iodine
from iodine_kit.training.memory import resident_bytes
from iodine_kit.training.resources import peak_bytes
torch.set_num_threads(1)
config, batch, size = json.loads(sys.argv[1])
def train(config, batch, size):
    model = iodine.build(iodine.Config(**config), 0)
    model.computation = Computation(recompute=sys.argv[2] == "recompute")
    optimizer = torch.optim.Adam(model.parameters())
    for step in range(2):
        image = torch.zeros(batch, size, size, 3, dtype=torch.uint8).permute(0, 3, 1, 2).float() / 255
        terms = model.loss(image, torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        terms.loss.backward()
        optimizer.step()
train(config, 1, 16)
before = resident_bytes()
train(config, batch, size)
print(peak_bytes(torch.device("cpu")) - before)
"""
SHAPES = {
    "35": ({"slots": 4, "steps": 3, "latent": 32, "decoder": {"channels": [32] * 4},
            "refinement": {"channels": [32] * 3, "mlp": [128], "lstm": 128}}, 8, 35),
    "64": ({"slots": 6, "steps": 2, "latent": 16, "decoder": {"channels": [32] * 5},
            "refinement": {"channels": [32] * 3, "mlp": [128], "lstm": 128}}, 2, 64),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads the process's memory from /proc")
@pytest.mark.parametrize(("shape", "mode"), [("35", "keep"), ("64", "recompute")])
def test_memory_is_within_a_fifth_of_that_of_a_real_process(shape: str, mode: str) -> None:
    config, batch, size = SHAPES[shape]
    model = iodine.build(iodine.Config(**config), 0)
    model.computation = type(model.computation)(recompute=mode == "recompute")
    done = subprocess.run(
        [sys.executable, "-c", STEP, json.dumps(SHAPES[shape]), mode],
        env={**os.environ, "OMP_NUM_THREADS": "1", "MALLOC_MMAP_THRESHOLD_": "65536"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert estimate_step(model, batch, size, size).peak_bytes == pytest.approx(int(done.stdout), rel=0.2)


def test_a_step_on_the_cpu_that_needs_more_memory_than_available_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Estimate(64, 128, 128, 1, 2, 10**6, 10**6, 2 * 10**6, 10**10)
    monkeypatch.setattr(resources, "available_bytes", lambda: 8 * 10**9)
    message = (
        r"^out of memory while planning the first step \(the estimate .* was 10\.0 GB, and 8\.0 GB are available\): low"
    )
    with pytest.raises(MemoryLimitError, match=message):
        refuse_too_large(64 * 128 * 128, "cpu", lambda: found)
    monkeypatch.setattr(resources, "available_bytes", lambda: 11 * 10**9)
    refuse_too_large(64 * 128 * 128, "cpu", lambda: found)
    monkeypatch.setattr(resources, "available_bytes", lambda: None)
    refuse_too_large(64 * 128 * 128, "cpu", lambda: found)
    refuse_too_large(100, "cpu", lambda: pytest.fail("small steps are not estimated"))
    refuse_too_large(64 * 128 * 128, "cuda", lambda: pytest.fail("a GPU reports full memory itself"))


def test_patches_need_fewer_operations_and_less_memory_as_calculated_by_hand() -> None:
    """The grid has 7×7 positions instead of 35×35; its last layer has 100 channels instead of 4."""
    net = {
        "slots": 2, "steps": 0, "latent": 3, "decoder": {"kernel": 3, "channels": [8, 8]},
        "refinement": {"channels": [4], "mlp": [4], "lstm": None},
    }  # fmt: skip
    patches = {**net, "decoder": {**net["decoder"], "patch": 5}}
    whole, small = (estimate_step(iodine.build(iodine.Config(**values), 0), 4, 35, 35) for values in (net, patches))
    rows, images = 4 * 2, {1: 35 * 35, 5: 7 * 7}
    convolutions = {patch: rows * places * 9 * (8 * 8 + 8 * 4 * patch**2) for patch, places in images.items()}
    assert (whole.flops - small.flops) / 6 == pytest.approx(convolutions[1] - convolutions[5], rel=0.1)
    assert small.activation_bytes < 0.6 * whole.activation_bytes  # likelihood and inputs stay at full resolution
