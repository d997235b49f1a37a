"""The ranks of a training run: one process alone, or several that torchrun started, each on a part of every batch.

Nothing here imports PyTorch before it is needed: a run that is up to date says so at once.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from iodine_kit.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor, device

ENVIRONMENT = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""What torchrun tells each of its processes."""


class World:
    """A process alone; also what several processes have in common.

    Attributes:
        rank: of this process, from 0.
        size: number of processes.
    """

    rank = 0
    size = 1

    @property
    def first(self) -> bool:
        """Whether this is the rank that writes files and talks."""
        return self.rank == 0

    def device_for(self, name: str, threads: int = 0) -> device:
        """The device that ``train.device`` means on this rank, and CPU ``threads`` if not 0.

        Raises:
            ConfigError: if there is no such device, or the ranks' are not of one kind.
        """
        import torch

        from iodine_kit.tensors import pick_device

        if threads:
            torch.set_num_threads(threads)
        return pick_device(name)

    def part(self, total: int) -> tuple[int, int]:
        """Place of this rank's first image in a whole batch of ``total``, and how many it has.

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

    def copy(self, tensors: Iterable[Tensor]) -> None:
        """Give ``tensors`` the first rank's values, in place."""

    def add(self, tensors: Iterable[Tensor]) -> None:
        """Replace ``tensors`` by their sums over the ranks, in place, in one message; their number is the same on all.

        Afterwards they are the same to the bit on all ranks.
        """

    def any(self, flag: bool) -> bool:
        """Whether it is true on one rank at least."""
        return flag

    def share(self, data: bytes) -> bytes:
        """The first rank's bytes; those of the others do not matter."""
        return data

    def agree(self, what: str, values: Mapping[str, Any]) -> None:
        """Compare ``values``, which is the ranks' ``what``; raises :class:`ConfigError` on all ranks if they differ."""

    def barrier(self) -> None:
        """Wait for all ranks."""


ALONE = World()


def is_one_of_several() -> bool:
    """Whether torchrun started this process together with others."""
    return all(name in os.environ for name in ENVIRONMENT) and os.environ["WORLD_SIZE"] != "1"


@contextmanager
def joined() -> Iterator[World]:
    """Join the other ranks if torchrun started this process, and part from them in good order.

    Whatever ends the context on one rank ends the others: the first to fail passes its error on, and the others exit
    with its status and without a word.
    """
    if not is_one_of_several():
        yield ALONE
        return
    from iodine_kit.training.process_group import together

    with together() as world:
        yield world
