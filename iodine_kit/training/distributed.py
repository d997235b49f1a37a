"""The processes (ranks) of a run: one alone, or several that torchrun started, each with a share of every batch.

This module imports no torch until a method needs it, so that a command whose run is up to date answers at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from iodine_kit.errors import ConfigError
from iodine_kit.system import is_one_of_several

if TYPE_CHECKING:
    from torch import Tensor, device


class World:
    """A single process, and the interface of a process among several.

    Attributes:
        rank: of this process, from 0.
        size: number of processes.
    """

    rank = 0
    size = 1

    @property
    def first(self) -> bool:
        """Whether this is the rank that writes files and prints messages."""
        return self.rank == 0

    def device_for(self, name: str, threads: int = 0, key: str = "train.device") -> device:
        """Return the device that the value ``name`` of a key means on this rank, and set the CPU ``threads`` unless 0.

        Raises:
            ConfigError: if the device cannot be used, or the ranks have devices of different kinds.
        """
        import torch

        from iodine_kit.tensors import pick_device

        if threads:
            torch.set_num_threads(threads)
        return pick_device(name)

    def local_batch(self, total: int) -> tuple[int, int]:
        """Return the index of this rank's first image in a batch of ``total``, and the number of its images.

        Raises:
            ConfigError: if the batch does not divide.
        """
        count, left = divmod(total, self.size)
        if left:
            fitting = " or ".join(str(n * self.size) for n in (count, count + 1) if n)
            raise ConfigError(
                f"train.batch_size: {total} images do not divide among {self.size} ranks: set it to {fitting}"
            )
        return self.rank * count, count

    def broadcast(self, tensors: Iterable[Tensor]) -> None:
        """Copy the first rank's values into ``tensors``, in place."""

    def all_reduce(self, tensors: Iterable[Tensor]) -> None:
        """Replace ``tensors`` by their sums over the ranks, in place; all ranks pass the same number of them.

        Afterwards they are equal to the bit on all ranks.
        """

    def any(self, flag: bool) -> bool:
        """Return whether ``flag`` is true on at least one rank."""
        return flag

    def share(self, data: bytes) -> bytes:
        """Return the first rank's bytes; those of the other ranks are ignored."""
        return data

    def agree(self, what: str, values: Mapping[str, Any]) -> None:
        """Raise :class:`ConfigError` on all ranks unless they have equal ``values``; ``what`` names them."""

    def barrier(self) -> None:
        """Wait for all ranks."""


SINGLE_PROCESS = World()


@contextmanager
def init_distributed() -> Iterator[World]:
    """Connect to the other ranks if torchrun started this process, and leave them at the end.

    An exception on one rank ends all others. The first rank that fails raises its own exception; the others exit with
    its status and without a message.
    """
    if not is_one_of_several():
        yield SINGLE_PROCESS
        return
    from iodine_kit.training.process_group import join_process_group

    with join_process_group() as world:
        yield world
