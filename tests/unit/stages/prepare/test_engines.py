"""Whoever processes the records, and whenever a run was interrupted: the data set has the same bytes."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import _tfrecord
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from iodine_kit.engines import EngineConfig, Running, local
from iodine_kit.errors import CorruptDataError, IodineKitError, ResumeError, SchemaError, SourceError, StorageError
from iodine_kit.runner import Context, run_stage
from iodine_kit.stages import prepare
from iodine_kit.stages.prepare import schedule
from iodine_kit.stages.prepare.blocks import BlockEnd, ProcessBlock, read_block, records_of, unit_number
from iodine_kit.stages.prepare.process_record import RecordResult
from iodine_kit.stages.prepare.shard_writer import ShardWriter
from iodine_kit.stages.prepare.source import SourcePlan
from iodine_kit.store import Store
from iodine_kit.tfrecord import read_records

planning = importlib.import_module("iodine_kit.stages.prepare.plan")
MIXED = """
from iodine_kit.protocols import Rule
from iodine_kit.split_rules import Range, Ranges, Shuffled

VERSION, SUMMARY, SOURCE = 1, "for this test", "this test"
RULES = {
    "multi-dsprites": Rule("at random", Shuffled(26, 3, (("train", 0.6), ("test", 1.0)))),
    "tetrominoes": Rule("ranges", Ranges((Range("train", 3, 9), Range("test", 17, 22)))),
}
"""


@dataclass(frozen=True)
class Case:
    """A data set to prepare."""

    folder: Path
    tables: dict[str, Any]

    def made(self, store: Path, workers: int) -> dict[str, bytes]:
        """The files of the data set, without the manifest."""
        context = Context(Store(store), engine=EngineConfig(workers=workers))
        path = run_stage(prepare, self.tables, {}, context).path
        return {one.name: one.read_bytes() for one in path.iterdir() if one.name != "manifest.json"}

    @cached_property
    def whole(self) -> dict[str, bytes]:
        """The same, made without interruption in one process."""
        return self.made(self.folder / "whole", 1)


def case(folder: Path, fake: str = "", /, *, scenes: int = 26, **tables: Any) -> Case:
    """A case that reads a fake of a layout, unless it generates scenes."""
    folder.mkdir()
    variant = tables.pop("variant", {})
    if fake:
        made = importlib.import_module(f"fakes.{fake}").make(folder, scenes, **variant)
        tables["prepare"] = {"dataset": made.dataset, "source": str(made.source), **tables.get("prepare", {})}
        tables["dataset"] = made.config
        tables["preprocess"] = {"crop": "none", "size": None, **tables.get("preprocess", {})}
    return Case(folder, {"format": {"scenes_per_shard": 7}, **tables})


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Case]]:
    """Generated scenes, and published ones of every kind: compressed, filtered, damaged, videos, with splits."""
    root = tmp_path_factory.mktemp("cases")
    (root / "engine_rules").mkdir()
    (root / "engine_rules" / "mixed.py").write_text(MIXED)
    mixed, skip = {"protocol": "engine_rules.mixed"}, {"skip_bad": True, "max_bad": 0.5}
    binarized = {"dataset": "multi-dsprites", "variant": "binarized"}
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(root))
        bad = case(root / "bad", "multi_object_datasets", variant={"compression": "plain"}, prepare=skip)
        damage(Path(bad.tables["prepare"]["source"]), {0, 11, 12})
        yield [
            case(root / "generated", prepare={"dataset": "tetrominoes", "generate": 40}, dataset={"cell": 2}),
            case(root / "few", "multi_object_datasets", prepare={"split": {"train": 9, "test": 3}}),
            case(root / "filtered", "multi_object_datasets", variant=binarized, preprocess={"max_objects": 2},
                 prepare={"split": {"train": 8}, "format": "webdataset"}),
            case(root / "mixed", "multi_object_datasets", variant=binarized, prepare=mixed),
            case(root / "ranges", "multi_object_datasets", variant={"compression": "plain"}, prepare=mixed),
            Case(bad.folder, {**bad.tables, "prepare": {**bad.tables["prepare"], "split": {"train": 20}}}),
            case(root / "videos", "multi_object_datasets", scenes=2, variant={"dataset": "cater", "part": "train"},
                 prepare={"split": {"train": 2}}, format={"scenes_per_shard": 40}),
            case(root / "tar", "oclf", scenes=8, variant={"dataset": "tetrominoes"}),
            case(root / "rows", "efficient_morl", scenes=12),
            case(root / "pictures", "folder", scenes=20, prepare={"format": "webdataset"}),
        ]  # fmt: skip


def damage(path: Path, records: set[int]) -> None:
    """Flip a bit in some records of a plain file."""
    frames = [_tfrecord.frame(payload) for _, _, payload in read_records(path)]
    for record in records:
        frames[record] = frames[record][:30] + bytes([frames[record][30] ^ 1]) + frames[record][31:]
    path.write_bytes(b"".join(frames))


@pytest.fixture(autouse=True)
def _threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads of this process are the workers: each has its own view of the source."""
    usual = local.open

    @contextmanager
    def opened(config: EngineConfig, directory: Path) -> Iterator[Running]:
        if config.workers == 1:
            with usual(config, directory) as running:
                yield running
            return
        with ThreadPoolExecutor(2) as pool:
            yield Running(pool, ahead=4, in_process=True)

    monkeypatch.setattr(local, "open", opened)


class Interruption:
    """Interrupts the run when a number of records have been stored."""

    def __init__(self, patch: pytest.MonkeyPatch, records: int) -> None:
        self._add, self._left = ShardWriter.add, records
        patch.setattr(ShardWriter, "add", lambda writer, result: self._count(writer, result))

    def _count(self, writer: ShardWriter, result: Any) -> bool:
        self._left -= 1
        if self._left < 0:
            raise KeyboardInterrupt
        return self._add(writer, result)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    number=st.integers(0, 9),
    runs=st.lists(st.tuples(st.sampled_from([1, 3]), st.integers(0, 12)), max_size=3),
    last=st.sampled_from([1, 3]),
    seconds=st.sampled_from([1e-9, 0.002, 2.0]),
)
def test_the_bytes_depend_neither_on_workers_nor_on_interruptions(
    number: int, runs: list[tuple[int, int]], last: int, seconds: float, cases: list[Case],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:  # fmt: skip
    store = tmp_path_factory.mktemp("store")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schedule, "BLOCK_SECONDS", seconds)
        for workers, records in runs:
            with pytest.MonkeyPatch.context() as stop:
                Interruption(stop, records)
                try:
                    cases[number].made(store, workers)
                except KeyboardInterrupt as raised:
                    drafts = list(store.glob("dataset/.*.partial"))
                    shards = [path for one in drafts for path in one.rglob("*") if path.suffix in (".h5", ".tar")]
                    what = "shards" if shards else "records"
                    promise = f"finished {what} are kept; run the same command again to resume" if drafts else ""
                    assert str(raised) == promise
                    continue
        assert cases[number].made(store, last) == cases[number].whole
    assert not list(store.glob("dataset/.*"))


@given(st.integers(0, 10**7), st.integers(0, 15))
def test_the_number_of_a_block_says_which_records_it_has(start: int, power: int) -> None:
    block = records_of(unit_number(start, 1 << power))
    assert (block.start, len(block)) == (start, 1 << power)


def error_of(one: Case, workers: int) -> tuple[type[IodineKitError], str]:
    with pytest.raises(IodineKitError) as raised:
        one.made(one.folder / f"w{workers}", workers)
    return raised.type, str(raised.value)


def test_the_first_error_is_the_same_with_any_number_of_workers(tmp_path: Path) -> None:
    """A picture of another size comes before one that is damaged; the fifth is needed by no split of four."""
    pictures = case(tmp_path / "p", "folder", scenes=12)
    images = tmp_path / "p" / "pictures" / "images"
    (images / "0009.png").write_bytes(b"no picture")
    found = error_of(pictures, 3)
    assert found == error_of(pictures, 1)
    assert found[0] is CorruptDataError and "0009.png" in found[1]
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(images / "0004.png")
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "p" / "pictures" / "masks" / "0004.png")
    found = error_of(pictures, 3)
    assert found == error_of(pictures, 1)
    assert found[0] is SchemaError and "0004.png: its image is uint8 [8, 8, 3]" in found[1]
    few = {**pictures.tables, "prepare": {**pictures.tables["prepare"], "split": {"train": 4}}}
    assert Case(tmp_path, few).made(tmp_path / "few", 3)


def test_a_source_that_is_too_short_or_truncated_is_refused_alike(tmp_path: Path) -> None:
    for compression in ("plain", "gzip"):
        folder = tmp_path / compression
        short = case(folder, "multi_object_datasets", scenes=9, variant={"compression": compression},
                     prepare={"split": {"train": 11}})  # fmt: skip
        found = error_of(short, 3)
        assert found == error_of(short, 1) and "contains 9 records: it lacks 2 of 11" in found[1]
        path = Path(short.tables["prepare"]["source"])
        path.write_bytes(path.read_bytes()[:-9])
        found = error_of(short, 3)
        assert found == error_of(short, 1) and found[0] is CorruptDataError and "truncated" in found[1]


def test_a_block_with_an_error_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason may be gone: a renderer that works again, or a disk that answers."""
    from iodine_kit.datasets import tetrominoes

    one = case(tmp_path / "c", prepare={"dataset": "tetrominoes", "generate": 40}, dataset={"cell": 2})
    usual = tetrominoes.generate

    def broken(config: Any, rng: Any, key: str) -> Any:
        if int(key[-2:]) > 5:
            raise SourceError(f"{key}: the renderer died")
        return usual(config, rng, key)

    with monkeypatch.context() as patch:
        patch.setattr(tetrominoes, "generate", broken)
        assert error_of(one, 3) == (SourceError, "train-00000006: the renderer died")
    assert one.made(one.folder / "w3", 3) == one.whole


def test_a_block_that_is_damaged_after_it_was_written_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from iodine_kit.stages.prepare import results

    usual = results.read_block

    def read(path: Path, made_with: Any) -> Any:
        path.write_bytes(path.read_bytes()[:-3])
        return usual(path, made_with)

    one = case(tmp_path / "c", prepare={"dataset": "tetrominoes", "generate": 40}, dataset={"cell": 2})
    with monkeypatch.context() as patch:
        patch.setattr(results, "read_block", read)
        kind, message = error_of(one, 3)
    assert kind is StorageError and "was damaged after it was written" in message
    assert one.made(one.folder / "w3", 3) == one.whole


def plan_of(one: Case, **changed: Any) -> SourcePlan:
    tables = {**one.tables, "prepare": {**one.tables["prepare"], **changed}}
    jobs: list[SourcePlan] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planning, "make", lambda plan, out, reporter: jobs.append(plan.records))
        prepare.plan(tables, {}, Context(Store(one.folder))).make(one.folder)
    return jobs[0]


def test_a_worker_in_another_folder_reads_relative_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = case(tmp_path / "c", "multi_object_datasets", scenes=4)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "c")
    name = Path(one.tables["prepare"]["source"]).name
    work = ProcessBlock(plan_of(one, source=name), {}, Path.cwd(), "first")
    monkeypatch.chdir(tmp_path / "elsewhere")
    work(unit_number(0, 4), tmp_path / "block")
    *results, end = read_block(tmp_path / "block", {})
    assert [result.place for result in results if isinstance(result, RecordResult)] == [
        f"{name}: record {record}" for record in range(4)
    ]
    assert isinstance(end, BlockEnd) and end.records == 4 and not end.error
    monkeypatch.chdir(tmp_path / "elsewhere")
    replace(work, folder=tmp_path / "none", run="second")(unit_number(0, 4), tmp_path / "block")
    (end,) = read_block(tmp_path / "block", {})
    assert isinstance(end, BlockEnd) and end.error
    assert end.error[0] == "StorageError" and "none that this path could begin at" in end.error[1]


def test_a_worker_with_another_renderer_makes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from iodine_kit.datasets import tetrominoes

    one = case(tmp_path / "c", prepare={"dataset": "tetrominoes", "generate": 40}, dataset={"cell": 2})
    monkeypatch.setattr(tetrominoes, "made_with", lambda config: {"blender": "4.2"}, raising=False)
    work = ProcessBlock(plan_of(one), {"blender": "5.0"}, Path.cwd(), "third")
    for _ in range(2):
        work(unit_number(0, 4), tmp_path / "block")
        (end,) = read_block(tmp_path / "block", {"blender": "5.0"})
        assert isinstance(end, BlockEnd) and end.error
        assert end.error[0] == "ConfigError" and 'blender: "5.0" -> "4.2"' in end.error[1]
    with pytest.raises(ResumeError, match=r'blender: "5.0" -> "5.1"'):
        list(read_block(tmp_path / "block", {"blender": "5.1"}))


def test_an_error_at_the_first_record_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from iodine_kit.datasets import tetrominoes

    def broken(config: Any, rng: Any, key: str) -> Any:
        raise SourceError("no renderer")

    monkeypatch.setattr(tetrominoes, "generate", broken)
    one = case(tmp_path / "c", prepare={"dataset": "tetrominoes", "generate": 2}, dataset={"cell": 2})
    assert error_of(one, 3) == (SourceError, "no renderer")
    assert not [path for path in one.folder.rglob("*") if path.is_file() and ".locks" not in path.parts]
