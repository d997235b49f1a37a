"""The tars of the object-centric learning framework: a folder per split, a member per scene and feature."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fakes import MARKER, Array, Fake, Truth, _published, npy_head, one_hot, save_pickle

FLAWS = ("overlap", "gap")
VARIANTS: tuple[dict[str, Any], ...] = (
    {},
    {"dataset": "tetrominoes", "scenes": 7},
    {"dataset": "multi-dsprites", "variant": "colored_on_grayscale"},
    {"dataset": "multi-dsprites", "variant": "binarized"},
    {"dataset": "objects-room", "part": "train"},
)
SMALL: tuple[dict[str, Any], ...] = ({"dataset": "tetrominoes"},)
NEEDED: tuple[str, ...] = ()


def make(
    folder: Path,
    scenes: int = 3,
    seed: int = 0,
    *,
    dataset: str = "clevr",
    flaw: str = "",
    evil: str = "",
    **config: Any,
) -> Fake:
    """Folders with one scene of val, one of test and the others of train, in two shards if they are many.

    Args:
        folder: where to put them.
        scenes: images, at least 3.
        seed: of the random generator.
        dataset: name of the data set.
        flaw: ``overlap`` or ``gap``, in the last mask of test.
        evil: name of one more member at the end of val; ``pickle`` replaces the last image of val by a pickle.
        config: ``variant`` of Multi-dSprites, ``part`` of Objects Room.
    """
    rng = np.random.default_rng(seed)
    source = folder / f"{dataset}_webdataset"
    truth: list[Truth] = []
    keys = iter(rng.permutation(2000)[:scenes].tolist())
    for split, count in (("train", scenes - 2), ("val", 1), ("test", 1)):
        samples = [_published.sample(dataset, config, rng) for _ in range(count)]
        truth += [Truth(np.broadcast_to(i, (*i.shape[:2], 3)), m, f, split) for i, m, f in samples]
        members: list[list[tuple[str, bytes]]] = []
        for (image, mask, factors), key in zip(samples, sorted(next(keys) for _ in range(count)), strict=True):
            hot = one_hot(mask, _published.entities(dataset, config), flaw if split == "test" else "")
            members.append(_members(key, {"image": image, "mask": hot} | factors))
        if evil and split == "val":
            members.append([_evil(evil, members, folder)])
        _write(source / split, members)
    return Fake(dataset, config, source, truth)


def _members(key: int, features: dict[str, Array]) -> list[tuple[str, bytes]]:
    return [(f"{key}.{name}.npy.gz", _packed(values)) for name, values in sorted(features.items())]


def _packed(values: Array) -> bytes:
    stream = io.BytesIO()
    np.save(stream, values, allow_pickle=False)
    return gzip.compress(stream.getvalue(), 5 if values.size < 1 << 16 else 1)


def _evil(evil: str, members: list[list[tuple[str, bytes]]], folder: Path) -> tuple[str, bytes]:
    if evil != "pickle":
        return evil, b"outside"
    pickle = folder / "pickle.npy"
    save_pickle(pickle, folder / MARKER)
    content = gzip.compress(pickle.read_bytes())
    pickle.unlink()
    names = [name for name, _ in members[-1]]
    place = next(index for index, name in enumerate(names) if name.endswith(".image.npy.gz"))
    members[-1][place] = names[place], content
    return members[-1].pop()


def _write(folder: Path, members: list[list[tuple[str, bytes]]]) -> None:
    folder.mkdir(parents=True)
    several = len(members) > 3
    for number, part in enumerate([members[:2], members[2:]] if several else [members]):
        with tarfile.open(folder / f"shard-{number:06d}.tar", "w") as tar:
            for name, content in (member for scene in part for member in scene):
                info = tarfile.TarInfo(name)
                info.size, info.mode, info.uname, info.gname = len(content), 0o444, "bigdata", "bigdata"
                tar.addfile(info, io.BytesIO(content))


def mix(fake: Fake) -> Fake:
    """Add a shard of another data set."""
    other = make(fake.source.parent, dataset="objects-room", part="train")
    (other.source / "val" / "shard-000000.tar").rename(fake.source / "val" / "shard-000001.tar")
    return fake


def lone(folder: Path) -> tuple[Fake, Path, int]:
    """A position in the first compressed member of a shard."""
    fake = make(folder, 7, dataset="tetrominoes")
    path = fake.source / "train" / "shard-000000.tar"
    return fake, path, path.read_bytes().index(b"\x1f\x8b") + 40


def _member(feature: str, content: bytes | None, kind: bytes = tarfile.REGTYPE) -> Callable[[Fake], None]:
    """Replace a member of val by other content, a link or a device, or remove it."""

    def write(fake: Fake) -> None:
        path = fake.source / "val" / "shard-000000.tar"
        with tarfile.open(path) as tar:
            held = [(info, tar.extractfile(info).read()) for info in tar]  # type: ignore[union-attr]
        with tarfile.open(path, "w") as tar:
            for info, data in held:
                if not info.name.endswith(f".{feature}.npy.gz"):
                    tar.addfile(info, io.BytesIO(data))
                elif content is not None:
                    info.size, info.type, info.linkname = len(content), kind, held[0][0].name
                    tar.addfile(info, io.BytesIO(content))

    return write


HOSTILE = {
    "a missing member": _member("mask", None),
    "no gzip": _member("image", b"hello"),
    "no npy": _member("image", gzip.compress(b"hello")),
    "a terabyte": _member("image", gzip.compress(npy_head((1 << 28, 64, 64)) + bytes(1000))),
    "endless zeros": _member("x", gzip.compress(npy_head((4,), "<f4") + bytes(1 << 28), 1)),
    "a symbolic link": _member("image", b"", tarfile.SYMTYPE),
    "a hard link": _member("image", b"", tarfile.LNKTYPE),
    "a named pipe": _member("image", b"", tarfile.FIFOTYPE),
    "an image of another size": _member("image", _packed(np.zeros((32, 32, 3), np.uint8))),
    "a mask of text": _member("mask", _packed(np.full((4, 35, 35, 1), "a"))),
    "another number of entities": _member("mask", _packed(one_hot(np.zeros((35, 35), np.uint8), 5))),
}
