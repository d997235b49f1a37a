"""Several ranks: PyTorch's process group, and what is done when one of them fails. No pickle passes between them."""

from __future__ import annotations

import atexit
import json
import os
import signal
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
import torch.distributed.nn  # before there is a group, which it would keep: Adam loads it at the first step
from torch import Tensor
from torch.distributed import PrefixStore, Store  # type: ignore[attr-defined]
from torch.distributed.rendezvous import rendezvous

from iodine_kit.config import differences
from iodine_kit.errors import INTERRUPTED, ConfigError, IodineKitError, RankLostError
from iodine_kit.tensors import pick_device
from iodine_kit.training.distributed import World

PATIENCE = timedelta(minutes=30)
"""How long ranks wait for one that is busy alone: it validates, compiles, or hashes what it made."""
PRECEDENCE, SPEECH = timedelta(seconds=2), timedelta(seconds=10)
"""How long a rank that fails lets the first one speak, and how long one with nothing to say waits to leave."""
FAILED = "failed"
SPOKEN = "spoken"


class Ranks(World):
    """This process among several. CPU tensors travel by Gloo, those of GPUs by NCCL.

    Gradients are added up in one message after the backward pass, not by DistributedDataParallel, which sends them in
    buckets while it runs: IODINE's weights take part in every decode, so no gradient is complete before the end. It
    would also wait for ever for parameters without a gradient.

    The group has to be gone when Python exits: a thread of Gloo's that is still there aborts the process.
    """

    def __init__(self) -> None:
        self.rank, self.size = dist.get_rank(), dist.get_world_size()

    def device_for(self, name: str, threads: int = 0) -> torch.device:
        local, neighbours = _local("LOCAL_RANK", 0), _local("LOCAL_WORLD_SIZE", 1)
        if name.startswith("cuda:"):
            raise ConfigError(f"train.device is {name}, which is one GPU for all ranks: leave it at auto, or say cuda")
        if name == "cuda" or (name == "auto" and torch.cuda.is_available()):
            name = f"cuda:{local}"
        device = pick_device(name)
        self.agree("kind of device", {"train.device": device.type})
        if device.type == "cuda":
            torch.cuda.set_device(device)  # NCCL takes the current one
        # torchrun sets one thread where nobody chose, and PyTorch alone would take all cores for every rank.
        if threads or os.environ.get("OMP_NUM_THREADS", "1") == "1":
            torch.set_num_threads(threads or max(_cores() // neighbours, 1))
        return device

    def copy(self, tensors: Iterable[Tensor]) -> None:
        for alike in _by_type(tensors):
            flat = _joined(alike)
            dist.broadcast(flat, 0)
            _deal_out(flat, alike)

    def add(self, tensors: Iterable[Tensor]) -> None:
        for alike in _by_type(tensors):
            flat = _joined(alike)
            dist.all_reduce(flat)
            _deal_out(flat, alike)

    def any(self, flag: bool) -> bool:
        count = torch.tensor(int(flag))
        dist.all_reduce(count)
        return bool(count)

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
        speaks = _speaks(store)
        _abort()
        if not speaks:
            raise SystemExit(_status_when_spoken(store, SPEECH) or 1) from None
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


def _speaks(store: Store) -> bool:
    """Whether this rank says what happened: the first rank where it fails too, else the one that failed first."""
    if dist.get_rank() and _status_when_spoken(store, PRECEDENCE):
        return False
    try:
        return bool(store.add(FAILED, 1) == 1)
    except RuntimeError:
        return False  # the store went with the rank that kept it, and that one has spoken


def _status(error: BaseException) -> int:
    return INTERRUPTED if isinstance(error, KeyboardInterrupt) else int(getattr(error, "exit_status", 1))


def _status_when_spoken(store: Store, patience: timedelta) -> int:
    """Wait for the one with the sentence: torchrun ends all ranks as soon as one has ended. 0 if none spoke."""
    with suppress(RuntimeError):
        store.wait([SPOKEN], patience)
        return int(store.get(SPOKEN))
    return 0


def _tell_spoken(store: Store, status: int) -> None:
    with suppress(RuntimeError):
        store.set(SPOKEN, str(status))


def _by_type(tensors: Iterable[Tensor]) -> list[list[Tensor]]:
    """Tensors that fit into one message; those of another type or device go with the next."""
    groups: dict[Any, list[Tensor]] = {}
    for tensor in tensors:
        groups.setdefault((tensor.dtype, tensor.device), []).append(tensor)
    return list(groups.values())


def _joined(tensors: list[Tensor]) -> Tensor:
    return torch.cat([tensor.detach().reshape(-1) for tensor in tensors])


def _deal_out(flat: Tensor, tensors: list[Tensor]) -> None:
    for tensor, piece in zip(tensors, torch.split(flat, [tensor.numel() for tensor in tensors]), strict=True):
        tensor.detach().copy_(piece.view(tensor.shape))


def _tensor(data: bytes) -> Tensor:
    return torch.frombuffer(bytearray(data), dtype=torch.uint8) if data else torch.empty(0, dtype=torch.uint8)


def _local(name: str, default: int) -> int:
    return int(os.environ.get(name, default))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
