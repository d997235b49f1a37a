"""Several ranks: PyTorch's process group, and what is done when one of them fails. No pickle passes between them."""

from __future__ import annotations

import atexit
import json
import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed import PrefixStore, Store  # type: ignore[attr-defined]
from torch.distributed.rendezvous import rendezvous
from torch.nn.parallel import DistributedDataParallel

from iodine_kit.config import differences
from iodine_kit.errors import ConfigError, IodineKitError, RankLostError
from iodine_kit.tensors import pick_device
from iodine_kit.training.distributed import World

PATIENCE = timedelta(minutes=30)
"""How long ranks wait for one that is busy alone: it validates, compiles, or hashes what it made."""
INTERRUPTED = 130
FAILED = "failed"
SPOKEN = "spoken"


class Ranks(World):
    """This process among several. CPU tensors travel by Gloo, those of GPUs by NCCL."""

    def __init__(self) -> None:
        self.rank, self.size = dist.get_rank(), dist.get_world_size()

    def device_for(self, name: str, threads: int = 0) -> torch.device:
        local, neighbours = _local("LOCAL_RANK", 0), _local("LOCAL_WORLD_SIZE", 1)
        if name == "cuda" or (name == "auto" and torch.cuda.is_available()):
            name = f"cuda:{local}"
        device = pick_device(name)
        if device.type == "cuda":
            torch.cuda.set_device(device)  # NCCL takes the current one
        # torchrun sets one thread where nobody chose, and PyTorch alone would take all cores for every rank.
        if threads or os.environ.get("OMP_NUM_THREADS", "1") == "1":
            torch.set_num_threads(threads or max(_cores() // neighbours, 1))
        return device

    def wrap(self, model: nn.Module) -> nn.Module:
        return Replica(model)

    def sum(self, value: Tensor) -> Tensor:
        total = value.detach().clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    def any(self, flag: bool) -> bool:
        return bool(self.sum(torch.tensor(int(flag))))

    def share(self, data: bytes) -> bytes:
        length = torch.tensor(len(data))
        dist.broadcast(length, 0)
        sent = _tensor(data) if self.first else torch.empty(int(length), dtype=torch.uint8)
        if len(sent):
            dist.broadcast(sent, 0)
        return sent.numpy().tobytes()

    def agree(self, what: str, values: Mapping[str, Any]) -> None:
        told = [json.loads(text) for text in self._gather(json.dumps(values, sort_keys=True).encode())]
        for rank, other in enumerate(told):
            if other != told[0]:
                changed = "; ".join(differences(told[0], other))
                raise ConfigError(
                    f"rank {rank} has another {what} than rank 0 ({changed}): "
                    "start all ranks with the same command on the same data and code"
                )

    def barrier(self) -> None:
        self.any(False)

    def _gather(self, data: bytes) -> list[bytes]:
        """Every rank's bytes, in the order of ranks."""
        lengths = self._column(len(data))
        padded = torch.zeros(max(max(lengths), 1), dtype=torch.uint8)
        padded[: len(data)] = _tensor(data)
        received = [torch.empty_like(padded) for _ in range(self.size)]
        dist.all_gather(received, padded)
        return [row[:length].numpy().tobytes() for row, length in zip(received, lengths, strict=True)]

    def _column(self, value: int) -> list[int]:
        received = [torch.tensor(0) for _ in range(self.size)]
        dist.all_gather(received, torch.tensor(value))
        return [int(one) for one in received]


class Replica(nn.Module):
    """DistributedDataParallel, made when the first batch shows which parameters the loss depends on.

    A parameter that gets no gradient (the refinement network's, without refinement steps) would make it wait for ever.
    Searching the graph for such parameters at every step, as it offers to do, is saved where there are none.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self._parallel: DistributedDataParallel | None = None

    def forward(self, *arguments: Any) -> Any:
        if self._parallel is None:
            trained = {id(parameter) for parameter in self.model.parameters() if parameter.requires_grad}
            unused = bool(trained - _reached(self.model(*arguments).loss))
            object.__setattr__(  # not a submodule: the model's parameters are registered already
                self,
                "_parallel",
                DistributedDataParallel(
                    self.model, gradient_as_bucket_view=True, broadcast_buffers=False, find_unused_parameters=unused
                ),
            )
        assert self._parallel is not None
        return self._parallel(*arguments)

    def no_sync(self) -> AbstractContextManager[None]:
        """Let gradients add up on each rank; a later backward pass outside brings them together."""
        # Before the first batch there is nothing to hold back: a mean that is averaged once more stays the same.
        return nullcontext() if self._parallel is None else self._parallel.no_sync()


def _reached(loss: Tensor) -> set[int]:
    """``id`` of every leaf that a loss depends on."""
    seen: set[Any] = set()
    leaves: set[int] = set()
    waiting = [loss.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            leaves.add(id(node.variable))
        waiting += [following for following, _ in node.next_functions]
    return leaves


@contextmanager
def together() -> Iterator[Ranks]:
    """Be one of several ranks; see :func:`iodine_kit.training.distributed.joined`."""
    store = _join()
    try:
        world = Ranks()
        yield world
        world.barrier()
    except (Exception, KeyboardInterrupt) as error:
        with suppress(ValueError):  # not in the main thread
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # torchrun asks to leave; this rank is about to, with a word
        lost = _is_lost_connection(error)
        speaks = _is_first_to_fail(store)
        _abort()
        if not speaks:
            raise SystemExit(_status_when_spoken(store)) from None
        atexit.register(_tell_spoken, store, RankLostError.exit_status if lost else _status(error))
        if lost:
            raise RankLostError(
                f"rank {world.rank} lost its connection to another rank, which ended or cannot be reached; "
                "go on from the last checkpoint with --resume"
            ) from None
        raise
    dist.destroy_process_group()


def _join() -> Store:
    try:
        store, rank, size = next(rendezvous("env://", timeout=PATIENCE))
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() and dist.is_nccl_available() else "gloo"
        dist.init_process_group(
            backend, store=PrefixStore("group", store), rank=rank, world_size=size, timeout=PATIENCE
        )
    except (RuntimeError, ValueError) as error:
        raise RankLostError(f"the ranks did not come together: {str(error).splitlines()[0][:200]}") from None
    return PrefixStore("iodine-kit", store)


def _abort() -> None:
    """Leave without waiting for ranks that may never come; theirs is the next move."""
    with suppress(Exception):
        group = dist.group.WORLD
        if group is not None and dist.get_backend() != "gloo":
            group.abort()  # else NCCL would wait for collectives that the others do not take part in
    with suppress(Exception):
        dist.destroy_process_group()


def _is_lost_connection(error: BaseException) -> bool:
    """Gloo has no exception class of its own."""
    if isinstance(error, IodineKitError):
        return False
    return isinstance(error, dist.DistError) or (isinstance(error, RuntimeError) and "gloo/transport" in str(error))


def _is_first_to_fail(store: Store) -> bool:
    try:
        return bool(store.add(FAILED, 1) == 1)
    except RuntimeError:
        return False  # the store went with the rank that kept it, and that one has spoken


def _status(error: BaseException) -> int:
    return INTERRUPTED if isinstance(error, KeyboardInterrupt) else int(getattr(error, "exit_status", 1))


def _status_when_spoken(store: Store) -> int:
    """torchrun ends all ranks as soon as one has ended: the one with the sentence has to be first."""
    with suppress(RuntimeError):
        store.wait([SPOKEN], timedelta(seconds=10))
        return int(store.get(SPOKEN))
    return 1


def _tell_spoken(store: Store, status: int) -> None:
    with suppress(RuntimeError):
        store.set(SPOKEN, str(status))


def _tensor(data: bytes) -> Tensor:
    return torch.frombuffer(bytearray(data), dtype=torch.uint8) if data else torch.empty(0, dtype=torch.uint8)


def _local(name: str, default: int) -> int:
    return int(os.environ.get(name, default))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
