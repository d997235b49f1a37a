"""What a training step will take, before it is taken: its arithmetic and its memory, from a step that computes nothing.

One step of model, clipping and Adam runs on tensors that have shapes and no values. torch's counter counts its
operations, and the bytes of all tensors are followed from where they are made to where they are let go.
"""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from iodine_kit.training.config import TrainConfig
from iodine_kit.training.resources import available_bytes, out_of_memory

LARGE_STEP = 1 << 18
_DISTINCT = 2
"""Parts of a batch that differ in what they take: the first finds no gradients yet, all others do."""


@dataclass(frozen=True)
class Estimate:
    """What one step of training takes. Memory is that of tensors, in bytes; the process's own comes on top.

    Attributes:
        batch_size, height, width: of the images of a step.
        parameters: numbers that are learned.
        flops: floating point operations of a step in matrix products and convolutions, forward and backward.
        weight_bytes, gradient_bytes, moment_bytes: of the weights, their gradients and Adam's moments.
        activation_bytes: everything else that is alive when memory is fullest.
        average_bytes, mirror_bytes, best_bytes: of the copies that a run holds beside the weights: their averages, what
            validation looks at, and the best ones, which lie on the CPU; see :func:`with_copies`.
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
        """Memory of all tensors when it is fullest."""
        return self.weight_bytes + self.copy_bytes + self.gradient_bytes + self.moment_bytes + self.activation_bytes

    @property
    def copy_bytes(self) -> int:
        """All copies of the weights."""
        return self.average_bytes + self.mirror_bytes + self.best_bytes

    @property
    def checkpoint_bytes(self) -> int:
        """A checkpoint on disk: weights, their averages, the best ones, and Adam's moments."""
        return self.weight_bytes + self.average_bytes + self.best_bytes + self.moment_bytes

    def sentence(self) -> str:
        """The estimate as part of a message, such as one on memory that ran out."""
        step = f"a step of {self.batch_size} images of {self.height}×{self.width}"
        return f"the estimate for {step} was {readable_bytes(self.peak_bytes)}"

    def facts(self) -> dict[str, Any]:
        """All figures by name."""
        derived = ("flops_per_image", "peak_bytes", "copy_bytes", "checkpoint_bytes")
        return {**asdict(self), **{name: getattr(self, name) for name in derived}}


def estimate_step(
    model: nn.Module, batch_size: int, height: int, width: int, parts: Sequence[object] = (None,)
) -> Estimate:
    """Predict a training step of ``model`` in its present ``computation``; the model itself is left as it is.

    The step is one in the middle of a run, so Adam's moments are there. ``parts`` are the equal parts in which the
    batch goes through the model, as its ``loss`` takes them. Whatever the size, nothing is computed and next to no
    memory taken. What an operation needs inside itself is not seen.
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
        memory = _Memory([weights, [p.grad for p in learned], moments])
        with memory, FlopCounterMode(display=False) as counter:
            image_BHWC = torch.zeros(batch_size // len(parts), height, width, 3, dtype=torch.uint8)
            _step(fake, optimizer, image_BHWC, parts[:_DISTINCT])
    kept = _bytes(weights), _bytes(learned), _bytes(moments)
    return Estimate(
        batch_size,
        height,
        width,
        sum(parameter.numel() for parameter in learned),
        counter.get_total_flops() * len(parts) // len(parts[:_DISTINCT]),
        *kept,
        activation_bytes=max(memory.peak - sum(kept), 0),
    )


def with_copies(found: Estimate, config: TrainConfig) -> Estimate:
    """Add the copies of the weights that a run of this configuration holds."""
    return replace(
        found,
        average_bytes=0 if config.ema is None else found.gradient_bytes,  # of what is learned
        mirror_bytes=found.weight_bytes if config.validate_every else 0,
        best_bytes=0 if config.select == "last" else found.weight_bytes,
    )


def refuse_too_large(pixels: int, device: str, estimate: Callable[[], Estimate]) -> None:
    """Raise :class:`MemoryLimitError` for a step that no CPU memory is left for: Linux would kill the process.

    Steps of fewer than 2^18 ``pixels`` are not looked at, which would take longer than they do; nor are those of a
    GPU, which says itself when its memory is out.
    """
    if pixels < LARGE_STEP or not (device == "cpu" or (device == "auto" and not torch.cuda.is_available())):
        return
    found, available = estimate(), available_bytes()
    if available is not None and found.peak_bytes > available:
        left = f"{found.sentence()}, and {readable_bytes(available)} are left"
        raise out_of_memory("planning the first step", estimate=left)


def readable_bytes(count: float) -> str:
    """``12.3 GB``, ``840 MB`` or ``2.4 MB``: powers of ten."""
    if count >= 1e9:
        return f"{count / 1e9:,.1f} GB"
    return f"{count / 1e6:,.0f} MB" if count >= 1e7 else f"{count / 1e6:,.1f} MB"


class _Memory(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Follows the storages that operations make until nothing refers to them, and remembers the most there were."""

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


def _step(model: nn.Module, optimizer: torch.optim.Optimizer, image_BHWC: Tensor, parts: Sequence[object]) -> None:
    """What the training loop does with one batch, in its order."""
    optimizer.zero_grad(set_to_none=True)
    for part in parts:
        image_BCHW = image_BHWC.permute(0, 3, 1, 2).float() / 255
        terms = model.loss(image_BCHW, torch.Generator(), part)  # type: ignore[operator]
        terms.loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()


def _without_values(model: nn.Module) -> nn.Module:
    """A copy of the model whose weights have shapes only, on the CPU wherever they are; to be called in fake mode."""
    fakes: dict[int, Any] = {
        id(p): nn.Parameter(torch.empty_like(p.detach(), device="cpu"), p.requires_grad) for p in model.parameters()
    }
    fakes |= {id(buffer): torch.empty_like(buffer, device="cpu") for buffer in model.buffers()}
    return copy.deepcopy(model, fakes)  # what the memo holds is taken to have been copied already


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.untyped_storage().nbytes() for tensor in tensors)
