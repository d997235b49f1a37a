"""Steps of training and inference that can be called again and again, and a bare convolution to compare them with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter, process_time

import _port
import torch
from _shapes import Shape, Variant
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from iodine_kit.config import merge
from iodine_kit.models import Computation, iodine
from iodine_kit.records import Microbatch
from iodine_kit.tensors import tf32
from iodine_kit.training.resources import compile_step

Step = Callable[[], object]
_AGAIN = 4
"""Bare convolutions in a call, so that all but the first find their tensors where the one before left them."""


@dataclass(frozen=True)
class Time:
    """Of one call, in seconds: on the wall's clock, and the CPU's, all threads together."""

    wall: float
    cpu: float


def timed(step: Step, device: torch.device, precision: str = "float32") -> Time:
    """Time a call, the device's work included."""
    with tf32(precision == "tf32"):
        _wait(device)
        wall, cpu = perf_counter(), process_time()
        step()
        _wait(device)
        return Time(perf_counter() - wall, process_time() - cpu)


def count_flops(step: Step) -> int:
    """Floating point operations of a call, by torch's counter."""
    with FlopCounterMode(display=False) as counter:
        step()
    return int(counter.get_total_flops())


def training_step(shape: Shape, variant: Variant, device: torch.device) -> Step:
    """Forward, all backward passes, clip, Adam: what ``iodine-kit train`` does with a batch."""
    model = build(shape, variant).to(device)
    optimizer = _adam(model)
    image_BCHW = images(shape, device)
    generator = torch.Generator().manual_seed(0)
    total = shape.batch
    if variant.compiled:
        compile_step(model, device)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        noise = model.noise(generator, Microbatch(0, total, total)).to(device, non_blocking=True)
        model(image_BCHW, noise, total).loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()

    return step


def inference_step(shape: Shape, variant: Variant, device: torch.device) -> Step:
    """What ``iodine-kit infer`` does with a batch, with K and T as in training."""
    model, image_BCHW = build(shape, variant).to(device).requires_grad_(False), images(shape, device)
    generator = torch.Generator().manual_seed(0)
    return lambda: model.infer(image_BCHW, generator)


def port_training_step(shape: Shape, directory: Path, device: torch.device) -> Step:
    """The same with the port: the order of its own training loop, and our clip, which it has commented out."""
    model = _port.build(directory, shape).to(device)
    optimizer = _adam(model)
    image_BCHW = images(shape, device).contiguous()

    def step() -> None:
        loss = model(image_BCHW)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()

    return step


def port_inference_step(shape: Shape, directory: Path, device: torch.device) -> Step:
    """The port's reconstruction, with its own T: as many decodes as ours."""
    model, image_BCHW = _port.build(directory, shape).to(device), images(shape, device).contiguous()
    return lambda: model.reconstruct(image_BCHW)


def bare_convolution(shape: Shape, precision: str, device: torch.device) -> Step:
    """A hidden layer of the shape's decoder alone, channels last, a few times: forward and both backward passes."""
    config = shape.config
    channels, kernel, count = config.decoder.channels[-1], config.decoder.kernel, shape.batch * config.slots
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    last = {"memory_format": torch.channels_last}
    hidden = torch.randn(count, channels, shape.size, shape.size, device=device, dtype=dtype).contiguous(**last)
    weight = torch.randn(channels, channels, kernel, kernel, device=device, dtype=dtype).contiguous(**last)
    hidden.requires_grad_(), weight.requires_grad_()
    gradient = torch.randn_like(hidden)

    def step() -> None:
        for _ in range(_AGAIN):
            result = F.conv2d(hidden, weight, padding=kernel // 2)
            torch.autograd.grad(result, (hidden, weight), gradient)

    return step


def build(shape: Shape, variant: Variant) -> iodine.model.Iodine:
    """Our net of a shape, set to compute in a variant's way."""
    model = iodine.build(iodine.Config(**merge(dict(shape.model), variant.model)), seed=0)
    model.computation = replace(Computation(), **variant.computation)
    return model


def images(shape: Shape, device: torch.device) -> Tensor:
    """A batch of noise, channels last, as the loader gives it."""
    generator = torch.Generator().manual_seed(1)
    image_BHWC = torch.rand(shape.batch, shape.size, shape.size, 3, generator=generator)
    return image_BHWC.to(device).permute(0, 3, 1, 2)


def _adam(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.Adam(model.parameters(), lr=1e-4)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
