"""Several ranks: PyTorch's process group, and how they end if one of them fails. They exchange no pickles."""

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
import torch.distributed.nn  # before a group exists, to which it would keep a reference: Adam imports it at step 1
from torch import Tensor
from torch.distributed import PrefixStore, Store  # type: ignore[attr-defined]
from torch.distributed.rendezvous import rendezvous

from iodine_kit.config import differences
from iodine_kit.errors import INTERRUPTED, ConfigError, IodineKitError, RankLostError
from iodine_kit.system import usable_cores
from iodine_kit.tensors import pick_device
from iodine_kit.training.distributed import World

TIMEOUT = timedelta(minutes=30)
"""How long ranks wait for one that works alone: it validates, compiles, or computes checksums."""
FIRST_RANK_AHEAD = timedelta(seconds=2)
"""How long another rank that fails waits for the first rank to report its own failure."""
REPORT_TIMEOUT = timedelta(seconds=10)
"""How long a rank without a message of its own waits for the one that has it."""
FAILED, REPORTED = "failed", "reported"
"""Keys of the store: the number of failed ranks, and the exit status of the rank that reported its failure."""


class ProcessGroup(World):
    """This process among several. CPU tensors are exchanged by Gloo, GPU tensors by NCCL.

    Gradients are added up in one message after the backward pass, instead of by DistributedDataParallel, which sends
    them in buckets during the pass: IODINE uses its weights in every decode, so no gradient is complete before the end.
    DistributedDataParallel would also wait forever for parameters without a gradient.

    The group must not exist when Python exits: a thread of Gloo that still runs would abort the process.
    """

    def __init__(self) -> None:
        self.rank, self.size = dist.get_rank(), dist.get_world_size()

    def device_for(self, name: str, threads: int = 0, key: str = "train.device") -> torch.device:
        local, neighbours = _environment_int("LOCAL_RANK", 0), _environment_int("LOCAL_WORLD_SIZE", 1)
        if name.startswith("cuda:"):
            raise ConfigError(f"{key} is {name}, a single GPU for all ranks: use auto or cuda")
        if name == "cuda" or (name == "auto" and torch.cuda.is_available()):
            name = f"cuda:{local}"
        device = pick_device(name)
        self.agree("kind of device", {key: device.type})
        if device.type == "cuda":
            torch.cuda.set_device(device)  # NCCL uses the current one
        # torchrun sets one thread unless the user chose a number; PyTorch by itself would use all cores on every rank.
        if threads or os.environ.get("OMP_NUM_THREADS", "1") == "1":
            torch.set_num_threads(threads or max(usable_cores() // neighbours, 1))
        return device

    def broadcast(self, tensors: Iterable[Tensor]) -> None:
        for group in _by_type(tensors):
            flat = _flatten(group)
            dist.broadcast(flat, 0)
            _copy_back(flat, group)

    def all_reduce(self, tensors: Iterable[Tensor]) -> None:
        for group in _by_type(tensors):
            flat = _flatten(group)
            dist.all_reduce(flat)
            _copy_back(flat, group)

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
        gathered = [json.loads(text) for text in self._gather(json.dumps(values, sort_keys=True).encode())]
        for rank, other in enumerate(gathered):
            if other != gathered[0]:
                changed = "; ".join(differences(gathered[0], other))
                raise ConfigError(
                    f"rank {rank} has another {what} than rank 0 ({changed}): "
                    "start all ranks with the same command on the same data and code"
                )

    def barrier(self) -> None:
        self.any(False)

    def _gather(self, data: bytes) -> list[bytes]:
        """Every rank's bytes, in the order of ranks."""
        lengths = self._gather_int(len(data))
        padded = torch.zeros(max(max(lengths), 1), dtype=torch.uint8)
        padded[: len(data)] = _tensor(data)
        received = [torch.empty_like(padded) for _ in range(self.size)]
        dist.all_gather(received, padded)
        return [row[:length].numpy().tobytes() for row, length in zip(received, lengths, strict=True)]

    def _gather_int(self, value: int) -> list[int]:
        received = [torch.tensor(0) for _ in range(self.size)]
        dist.all_gather(received, torch.tensor(value))
        return [int(one) for one in received]


@contextmanager
def join_process_group() -> Iterator[ProcessGroup]:
    """Be one of several ranks; see :func:`iodine_kit.training.distributed.init_distributed`."""
    store = _connect()
    try:
        world = ProcessGroup()
        yield world
        world.barrier()
    except (Exception, KeyboardInterrupt) as error:
        with suppress(ValueError):  # not in the main thread
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # torchrun's request to end, which this rank is about to do
        lost = _is_lost_connection(error)
        reports = _must_report(store)
        _abort()
        if not reports:
            raise SystemExit(_reported_status(store, REPORT_TIMEOUT) or 1) from None
        atexit.register(_mark_reported, store, RankLostError.exit_status if lost else _status(error))
        if lost:
            raise RankLostError(
                f"rank {world.rank} lost its connection to another rank, which ended or cannot be reached; "
                "run the same command again to resume"
            ) from None
        raise
    dist.destroy_process_group()


def _connect() -> Store:
    try:
        store, rank, size = next(rendezvous("env://", timeout=TIMEOUT))
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() and dist.is_nccl_available() else "gloo"
        dist.init_process_group(backend, store=PrefixStore("group", store), rank=rank, world_size=size, timeout=TIMEOUT)
    except (RuntimeError, ValueError) as error:
        raise RankLostError(f"the ranks cannot connect to each other: {str(error).splitlines()[0][:200]}") from None
    return PrefixStore("iodine-kit", store)


def _abort() -> None:
    """Leave the group without waiting for ranks that may never answer."""
    with suppress(Exception):
        group = dist.group.WORLD
        if group is not None and dist.get_backend() != "gloo":
            group.abort()  # otherwise NCCL waits for collectives in which the other ranks do not take part
    with suppress(Exception):
        dist.destroy_process_group()


def _is_lost_connection(error: BaseException) -> bool:
    """Recognise Gloo's error by its text: it has no exception class."""
    if isinstance(error, IodineKitError):
        return False
    return isinstance(error, dist.DistError) or (isinstance(error, RuntimeError) and "gloo/transport" in str(error))


def _must_report(store: Store) -> bool:
    """Whether this rank reports the failure: the first rank if it fails, too, otherwise the one that failed first."""
    if dist.get_rank() and _reported_status(store, FIRST_RANK_AHEAD):
        return False
    try:
        return bool(store.add(FAILED, 1) == 1)
    except RuntimeError:
        return False  # the rank that kept the store has ended, and has reported


def _status(error: BaseException) -> int:
    return INTERRUPTED if isinstance(error, KeyboardInterrupt) else int(getattr(error, "exit_status", 1))


def _reported_status(store: Store, timeout: timedelta) -> int:
    """Wait for the report of another rank, because torchrun ends all ranks as soon as one has ended; 0 if none came."""
    with suppress(RuntimeError):
        store.wait([REPORTED], timeout)
        return int(store.get(REPORTED))
    return 0


def _mark_reported(store: Store, status: int) -> None:
    with suppress(RuntimeError):
        store.set(REPORTED, str(status))


def _by_type(tensors: Iterable[Tensor]) -> list[list[Tensor]]:
    """Group tensors that fit into one message: those of the same type and device."""
    groups: dict[Any, list[Tensor]] = {}
    for tensor in tensors:
        groups.setdefault((tensor.dtype, tensor.device), []).append(tensor)
    return list(groups.values())


def _flatten(tensors: list[Tensor]) -> Tensor:
    return torch.cat([tensor.detach().reshape(-1) for tensor in tensors])


def _copy_back(flat: Tensor, tensors: list[Tensor]) -> None:
    for tensor, piece in zip(tensors, torch.split(flat, [tensor.numel() for tensor in tensors]), strict=True):
        tensor.detach().copy_(piece.view(tensor.shape))


def _tensor(data: bytes) -> Tensor:
    return torch.frombuffer(bytearray(data), dtype=torch.uint8) if data else torch.empty(0, dtype=torch.uint8)


def _environment_int(name: str, default: int) -> int:
    return int(os.environ.get(name, default))
