"""What a training step needs: floating point operations and memory, without computing anything.

One step of model, clipping and Adam runs on tensors that have shapes but no values. PyTorch's counter counts the
operations. The memory of every tensor is followed from its creation to its release.
"""

from __future__ import annotations

import copy
import weakref
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from iodine_kit.formatting import byte_size
from iodine_kit.training.config import TrainConfig

_DISTINCT = 2
"""Microbatches that differ in what they need: the first creates the gradients, all later ones add to them."""


@dataclass(frozen=True)
class Estimate:
    """What one step of training needs. Memory is that of tensors, in bytes, without the process's own.

    Attributes:
        batch_size, height, width: of the images of a step.
        parameters: number of learned parameters.
        flops: floating point operations of a step in matrix products and convolutions, forward and backward.
        weight_bytes, gradient_bytes, moment_bytes: of the weights, their gradients and Adam's moments.
        activation_bytes: all other tensors at the moment of the largest memory.
        average_bytes, mirror_bytes, best_bytes: of the copies of the weights that a run may keep: their averages, the
            copy for validation, and the best ones, which are on the CPU; see :func:`with_copies`.
    """

    batch_size: int
    height: int
    width: int
    parameters: int
    flops: int
    weight_bytes: int
    gradient_bytes: int
    moment_bytes: int
    activation_bytes: int
    average_bytes: int = 0
    mirror_bytes: int = 0
    best_bytes: int = 0

    @property
    def flops_per_image(self) -> float:
        """Floating point operations per image of a step."""
        return self.flops / self.batch_size

    @property
    def peak_bytes(self) -> int:
        """The largest memory of all tensors at one moment."""
        return self.weight_bytes + self.copy_bytes + self.gradient_bytes + self.moment_bytes + self.activation_bytes

    @property
    def copy_bytes(self) -> int:
        """Memory of all copies of the weights."""
        return self.average_bytes + self.mirror_bytes + self.best_bytes

    @property
    def checkpoint_bytes(self) -> int:
        """Size of a checkpoint on disk: weights, their averages, the best ones, and Adam's moments."""
        return self.weight_bytes + self.average_bytes + self.best_bytes + self.moment_bytes

    def sentence(self) -> str:
        """The estimate as a part of a message, such as an error of full memory."""
        step = f"a step of {self.batch_size} images of {self.height}×{self.width}"
        return f"the estimate for {step} was {byte_size(self.peak_bytes)}"

    def facts(self) -> dict[str, Any]:
        """All values by name."""
        derived = ("flops_per_image", "peak_bytes", "copy_bytes", "checkpoint_bytes")
        return {**asdict(self), **{name: getattr(self, name) for name in derived}}


def estimate_step(
    model: nn.Module, batch_size: int, height: int, width: int, microbatches: Sequence[object] = (None,)
) -> Estimate:
    """Predict a training step of ``model`` with its present ``computation``; the model does not change.

    The step is one in the middle of a run, so Adam's moments exist. ``microbatches`` are of equal size; the model's
    ``loss`` gets them one by one. Nothing is computed and almost no memory is allocated, whatever the size. Memory that
    an operation uses internally is not counted.
    """
    with FakeTensorMode(allow_non_fake_inputs=True):
        fake = _without_values(model)
        learned = [p for p in fake.parameters() if p.requires_grad]
        optimizer = torch.optim.Adam(learned)
        for parameter in learned:
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
        weights = [*fake.parameters(), *fake.buffers()]
        moments = [value for values in optimizer.state.values() for value in values.values()]
        memory = _MemoryTracker([weights, [p.grad for p in learned], moments])
        with memory, FlopCounterMode(display=False) as counter:
            image_BHWC = torch.zeros(batch_size // len(microbatches), height, width, 3, dtype=torch.uint8)
            _step(fake, optimizer, image_BHWC, microbatches[:_DISTINCT])
    weight_bytes, gradient_bytes, moment_bytes = _bytes(weights), _bytes(learned), _bytes(moments)
    return Estimate(
        batch_size=batch_size,
        height=height,
        width=width,
        parameters=sum(parameter.numel() for parameter in learned),
        flops=counter.get_total_flops() * len(microbatches) // len(microbatches[:_DISTINCT]),
        weight_bytes=weight_bytes,
        gradient_bytes=gradient_bytes,
        moment_bytes=moment_bytes,
        activation_bytes=max(memory.peak - weight_bytes - gradient_bytes - moment_bytes, 0),
    )


def with_copies(estimate: Estimate, config: TrainConfig) -> Estimate:
    """Add the copies of the weights that a run of this configuration keeps."""
    return replace(
        estimate,
        average_bytes=0 if config.ema is None else estimate.gradient_bytes,  # of learned parameters only
        mirror_bytes=estimate.weight_bytes if config.validate_every else 0,
        best_bytes=0 if config.select == "last" else estimate.weight_bytes,
    )


class _MemoryTracker(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the storages that operations create, until nothing refers to them; ``peak`` is the largest sum."""

    def __init__(self, present: object) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.peak = 0
        self._alive: set[int] = set()
        self._add(present)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self._add(result)
        return result

    def _add(self, tensors: object) -> None:
        for tensor in tree_leaves(tensors):
            if isinstance(tensor, Tensor) and id(storage := tensor.untyped_storage()) not in self._alive:
                size = storage.nbytes()
                self._alive.add(id(storage))
                self.now += size
                self.peak = max(self.peak, self.now)
                weakref.finalize(storage, self._drop, id(storage), size).atexit = False

    def _drop(self, identity: int, size: int) -> None:
        self._alive.discard(identity)
        self.now -= size


def _step(
    model: nn.Module, optimizer: torch.optim.Optimizer, image_BHWC: Tensor, microbatches: Sequence[object]
) -> None:
    """Do what the training loop does with one batch, in the same order."""
    optimizer.zero_grad(set_to_none=True)
    for microbatch in microbatches:
        image_BCHW = image_BHWC.permute(0, 3, 1, 2).float() / 255
        terms = model.loss(image_BCHW, torch.Generator(), microbatch)  # type: ignore[operator]
        terms.loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()


def _without_values(model: nn.Module) -> nn.Module:
    """A copy of the model on the CPU whose weights have shapes but no values; call it in fake mode."""
    fakes: dict[int, Any] = {
        id(p): nn.Parameter(torch.empty_like(p.detach(), device="cpu"), p.requires_grad) for p in model.parameters()
    }
    fakes |= {id(buffer): torch.empty_like(buffer, device="cpu") for buffer in model.buffers()}
    return copy.deepcopy(model, fakes)  # objects in the memo count as copied


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.untyped_storage().nbytes() for tensor in tensors)
