"""From stored bytes to tensors on a device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from iodine_kit.errors import ConfigError
from iodine_kit.records import Array, Bytes


def pick_device(name: str) -> torch.device:
    """Return the named device; ``auto`` is the GPU if there is one, else the CPU.

    Raises:
        ConfigError: if the device cannot be used.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.zeros(1, device=name).item()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0][:200]
        raise ConfigError(f"device '{name}' cannot be used ({reason}): set train.device or infer.device=auto") from None
    return torch.device(name)


def count_gpus() -> int:
    """Number of GPUs that PyTorch can use."""
    return torch.cuda.device_count()


def images_to(device: torch.device, image_BHWC: Bytes) -> Tensor:
    """Convert ``uint8[B, H, W, 3]`` to ``float32[B, 3, H, W]`` in [0, 1] on a device, channels last in memory."""
    return send(torch.from_numpy(image_BHWC), device).permute(0, 3, 1, 2).float() / 255


def array_to(device: str, array: Array) -> Tensor:
    """Copy an array to the named device, with its dtype; raises :class:`ConfigError` if the device cannot be used."""
    return send(torch.from_numpy(array), pick_device(device))


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy a CPU tensor to ``device`` without waiting for work that is queued on the device."""
    if device.type == "cuda":
        tensor = tensor.pin_memory()  # a copy from pageable memory waits
    return tensor.to(device, non_blocking=True)


@contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """Context in which GPUs may (or may not) round the factors of float32 products to 10 bits (TF32).

    PyTorch's default allows it in convolutions.
    """
    backends: tuple[Any, ...] = (torch.backends.cuda.matmul, torch.backends.cudnn)
    before = [backend.allow_tf32 for backend in backends]
    for backend in backends:
        backend.allow_tf32 = allowed
    try:
        yield
    finally:
        for backend, value in zip(backends, before, strict=True):
            backend.allow_tf32 = value


def step_generator(seed: int, step: int) -> torch.Generator:
    """Random generator of one step on the CPU. It depends on seed and step only, so resuming needs no saved state."""
    # Splitmix64 spreads adjacent (seed, step) pairs over all 64 bits, which the Mersenne twister needs as seeds.
    state = (seed * 0x9E3779B97F4A7C15 + (step + 1) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
    return torch.Generator().manual_seed((state ^ (state >> 31)) >> 1)
