"""Read a source with a layout as the package does, and compare the scenes with the truth."""

from __future__ import annotations

import io
import multiprocessing
import pickle
import resource
import shutil
import sys
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from fakes import Array, Fake, Truth
from iodine_kit.datasets import DATASETS
from iodine_kit.errors import IodineKitError
from iodine_kit.layouts import LAYOUTS, Expected, Item
from iodine_kit.records import Scene

Scenes = list[tuple[str, Scene]]
UNCHECKED = {".hdf5", ".h5", ".npy", ".json"}
"""Files without checksums: an altered byte may be read as another number."""


def expected(fake: Fake) -> Expected:
    """What the package expects of the data set."""
    plugin = DATASETS.load(fake.dataset)
    config = plugin.Config(**fake.config)
    others = {title: fields for name in DATASETS.names() for title, fields in DATASETS.load(name).SCHEMAS.items()}
    return Expected(fake.dataset, plugin.info(config), plugin.fields(config), others, config.model_dump())


def items(layout: str, fake: Fake, wanted: Expected | None = None) -> Iterator[Item]:
    """The records of the fake's source; ``wanted`` defaults to its own data set."""
    plugin = LAYOUTS.load(layout)
    plugin.files([fake.source], plugin.Config())
    yield from plugin.items([fake.source], wanted or expected(fake), plugin.Config())


def read(layout: str, fake: Fake, wanted: Expected | None = None) -> Scenes:
    """All scenes with their splits; items are pickled and unpickled, as for another process."""
    plugin, wanted = LAYOUTS.load(layout), wanted or expected(fake)
    decoded = []
    for number, item in enumerate(items(layout, fake, wanted)):
        key = f"{number:08d}"
        scenes = plugin.scenes(pickle.loads(pickle.dumps(item)), key, wanted, plugin.Config())
        video = [f"{key}-{frame:02d}" for frame in range(len(scenes))]
        assert [scene.key for scene in scenes] == (video if fake.dataset == "cater" else [key])
        decoded += [(item.split, scene) for scene in scenes]
    return decoded


def difference(decoded: Scenes, fake: Fake) -> str:
    """The first difference from the truth, or "". Scenes are in order within each split."""
    for split in sorted({split for split, _ in decoded} | {one.split for one in fake.truth}):
        scenes = [scene for name, scene in decoded if name == split]
        truth = [one for one in fake.truth if one.split == split]
        if len(scenes) != len(truth):
            return f"split '{split}' has {len(scenes)} scenes, not {len(truth)}"
        for index, (scene, true) in enumerate(zip(scenes, truth, strict=True)):
            if wrong := different(scene, true):
                return f"split '{split}', scene {index}: {wrong}"
    return ""


def different(scene: Scene, true: Truth) -> str:
    if not np.array_equal(scene.image, true.image):
        return f"another image: {scene.image.shape}, not {true.image.shape}, or other values"
    if not np.array_equal(scene.mask, true.mask):
        return f"another mask: indices {np.unique(scene.mask)}, not {np.unique(true.mask)}, or elsewhere"
    wrong = [name for name, values in true.factors.items() if not _same(scene, name, values)]
    return f"other factors {wrong} of {sorted(scene.factors)}" if wrong else ""


def _same(scene: Scene, name: str, true: Array) -> bool:
    if name not in scene.factors or len(scene.factors[name]) < len(true):
        return False
    rows = np.asarray(scene.factors[name]).reshape(len(scene.factors[name]), -1)
    true = true.reshape(len(true), -1).astype(np.float32)
    return np.array_equal(rows[: len(true)].astype(np.float32), true) and not rows[len(true) :].any()


@dataclass(frozen=True)
class Damage:
    """One way to damage a file: keep ``at`` bytes, or alter byte ``at`` by ``flip``."""

    path: Path
    at: int
    flip: int = 0

    def apply(self, data: bytes) -> bytes:
        """The damaged bytes."""
        if not self.flip:
            return data[: self.at]
        return data[: self.at] + bytes([data[self.at] ^ self.flip]) + data[self.at + 1 :]


def damages(fake: Fake, seed: int, reads: int) -> list[Damage]:
    """Truncations and altered bytes for every file, about ``reads`` in all, including both ends and the middle."""
    rng = np.random.default_rng(seed)
    files, result = fake.files(), []
    each = max(2, reads // len(files) // 2 - 4)
    for path in files:
        size = path.stat().st_size
        cuts = {0, 1, size // 2, size - 1, *rng.integers(0, size, each).tolist()}
        flips = {0, size - 1, *rng.integers(0, size, each).tolist(), *rng.integers(0, min(size, 512), 2).tolist()}
        result += [Damage(path, at) for at in sorted(cuts)]
        result += [Damage(path, at, 1 << int(rng.integers(8))) for at in sorted(flips)]
    return result


def judge(layout: str, fake: Fake, damage: Damage) -> str:
    """Why reading the damaged source did not end correctly; "" if it did."""
    intact = damage.path.read_bytes()
    damage.path.write_bytes(damage.apply(intact))
    try:
        decoded = read(layout, fake)
    except IodineKitError as error:
        return "" if damage.path.name in str(error) else f"the message does not name the file: {error}"
    except Exception as error:  # the point of the test
        return f"{type(error).__name__}: {error}"
    finally:
        damage.path.write_bytes(intact)
    unchecked = damage.path.suffix in UNCHECKED and damage.flip and shapes(decoded) == shapes(_as_decoded(fake))
    return "" if unchecked else difference(decoded, fake)


def refused(layout: str, fake: Fake) -> str:
    """Why reading did not end in an error for users that names a file; "" if it did."""
    try:
        decoded = read(layout, fake)
    except IodineKitError as error:
        named = any(path.name in str(error) for path in fake.files())
        return "" if named else f"the message names no file: {error}"
    except Exception as error:  # the point of the test
        return f"{type(error).__name__}: {error}"
    return f"was read as {[(split, scene.image.shape) for split, scene in decoded]}"


def shapes(decoded: Scenes) -> list[tuple[int, ...]]:
    """The shapes of all images; a scene's mask has the same."""
    return sorted(scene.image.shape for _, scene in decoded)


def _as_decoded(fake: Fake) -> Scenes:
    return [(one.split, Scene("", np.asarray(one.image), one.mask)) for one in fake.truth]


def in_child(labels: list[str], work: Callable[[int], str], patience: float = 20, memory: int = 0) -> list[str]:
    """Call ``work(index)`` for each label in another process, which may crash or hang; return the complaints.

    ``memory`` limits the address space, in bytes, that the process may add.
    """
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_work, args=(theirs, len(labels), work, memory), daemon=True)
    child.start()
    theirs.close()
    complaints = []
    for label in labels:
        try:
            complaint = ours.recv() if ours.poll(patience) else f"not finished after {patience} s"
        except EOFError:
            child.join()
            return [*complaints, f"{label}: the process ended with {child.exitcode}"]
        complaints += [f"{label}: {complaint}"] if complaint else []
    child.kill()
    child.join()
    return complaints


def _work(pipe: Connection, count: int, work: Callable[[int], str], memory: int) -> None:
    if memory and sys.platform == "linux":
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + memory, used + memory))
    for index in range(count):
        pipe.send(work(index))


APPLE = b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        " + bytes(4000)
"""Begin of what a Mac writes beside each file on other file systems."""


def sprinkle(folder: Path) -> None:
    """Add what systems and other programs leave: beside every file, in every folder and in every tar archive."""
    for path in [folder, *(path for path in folder.rglob("*") if path.is_dir())]:
        files = [file for file in path.iterdir() if file.is_file()]
        (path / "loop").symlink_to(folder, target_is_directory=True)
        for name in (".DS_Store", "Thumbs.db", "desktop.ini", "Icon\r"):
            (path / name).write_bytes(APPLE)
        for inner in ("__MACOSX", "@eaDir", ".ipynb_checkpoints", "lost+found", "PaxHeaders.123"):
            (path / inner).mkdir()
            for file in files:
                shutil.copy(file, path / inner / file.name)
                (path / inner / f"._{file.name}").write_bytes(APPLE)
        for file in files:
            (path / f"._{file.name}").write_bytes(APPLE)
            if file.suffix == ".tar":
                _sprinkle_tar(file)
            for end in (".part", ".crdownload", ".tmp", "~", ".swp", ".md5", ".idx", ".crc", "_.gstmp", ".bak"):
                shutil.copy(file, f"{file}{end}")


def _sprinkle_tar(path: Path) -> None:
    with tarfile.open(path) as tar:
        held = [(info, tar.extractfile(info).read()) for info in tar]  # type: ignore[union-attr]
    with tarfile.open(path, "w") as tar:
        root = tarfile.TarInfo("./")
        root.type = tarfile.DIRTYPE
        tar.addfile(root)
        for info, content in held:
            name = info.name
            for beside in (f"./._{name}", f"__MACOSX/._{name}", f"PaxHeader/{name}", f"{name}.tmp", ".DS_Store"):
                left = tarfile.TarInfo(beside)
                left.size = len(APPLE)
                tar.addfile(left, io.BytesIO(APPLE))
            info.name = f"./{name}"
            tar.addfile(info, io.BytesIO(content))
