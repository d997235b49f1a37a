"""Every layout reads a data set that was written independently of it, and reports damage."""

from __future__ import annotations

import gzip
import importlib
import itertools
import pkgutil
import re
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import fakes
import numpy as np
import pytest
from fakes import MARKER, PIXEL, Fake, _published, _reading, _tfrecord
from fakes._reading import DATASETS, LAYOUTS, difference, expected, items, read

from iodine_kit.errors import CorruptDataError, IodineKitError, SchemaError, SourceError

Variant = dict[str, Any]
MADE = {module.name.replace("_", "-") for module in pkgutil.iter_modules(fakes.__path__) if module.name[0] != "_"}
TESTED = sorted(MADE & set(LAYOUTS.names()))


def of(layout: str) -> ModuleType:
    """The module of tests/fakes that makes data sets in this layout."""
    return importlib.import_module(f"fakes.{layout.replace('-', '_')}")


def variants(attribute: str) -> list[Any]:
    """Test parameters: each layout with each of its fake's variants."""
    pairs = [(layout, variant) for layout in TESTED for variant in getattr(of(layout), attribute)]
    return [pytest.param(layout, one, id=f"{layout}-{'-'.join(map(str, one.values()))}") for layout, one in pairs]


def first(layout: str, folder: Path, **variant: Any) -> Fake:
    """The layout's small data set."""
    return of(layout).make(folder, **(of(layout).SMALL[0] | variant))


def test_every_layout_has_a_fake() -> None:
    assert set(LAYOUTS.names()) == MADE


def test_protobuf_reads_the_fake_examples() -> None:
    protobuf = pytest.importorskip("google.protobuf.descriptor_pb2")
    from google.protobuf import descriptor_pool, message_factory

    file = protobuf.FileDescriptorProto(name="example.proto", package="t", syntax="proto3")
    for name, fields in {
        "BytesList": [("value", 1, 12, 3, "")],
        "FloatList": [("value", 1, 2, 3, "")],
        "Feature": [("bytes_list", 1, 11, 1, ".t.BytesList"), ("float_list", 2, 11, 1, ".t.FloatList")],
        "Entry": [("key", 1, 9, 1, ""), ("value", 2, 11, 1, ".t.Feature")],
        "Features": [("feature", 1, 11, 3, ".t.Entry")],
        "Example": [("features", 1, 11, 1, ".t.Features")],
    }.items():
        message = file.message_type.add(name=name)
        for field, number, kind, label, of_type in fields:
            message.field.add(name=field, number=number, type=kind, label=label, type_name=of_type or None)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    example = message_factory.GetMessageClass(pool.FindMessageTypeByName("t.Example"))
    _, _, factors = _published.sample("tetrominoes", {}, np.random.default_rng(0))
    image = np.arange(200, dtype=np.uint8)
    for blob in (False, True):
        parsed = example.FromString(_tfrecord.example(factors | {"image": image}, np.random.default_rng(0), blob))
        entries = {entry.key: entry.value for entry in parsed.features.feature}
        assert entries.keys() == {*factors, "image"}
        assert list(entries["image"].bytes_list.value) == ([bytes(image)] if blob else [bytes([one]) for one in image])
        assert list(entries["color"].float_list.value) == factors["color"].ravel().tolist()


@pytest.mark.parametrize(
    ("dataset", "config", "size"),
    [
        ("tetrominoes", {}, 25_944),
        ("multi-dsprites", {"variant": "colored_on_colored"}, 98_633),
        ("clevr", {}, 3_226_280),
    ],
)
def test_fake_records_have_the_length_of_published_ones(dataset: str, config: Variant, size: int) -> None:
    rng = np.random.default_rng(0)
    image, mask, factors = _published.sample(dataset, config, rng)
    hot = fakes.one_hot(mask, _published.entities(dataset, config))
    assert len(_tfrecord.example({"image": image, "mask": hot} | factors, rng)) == size


@pytest.mark.parametrize(("layout", "variant"), variants("VARIANTS"))
def test_a_source_is_recognised_by_its_layout_alone(layout: str, variant: Variant, tmp_path: Path) -> None:
    fake = of(layout).make(tmp_path, **variant)
    assert [name for name in LAYOUTS.names() if LAYOUTS.load(name).recognises(fake.source)] == [layout]


@pytest.mark.parametrize(("layout", "variant"), variants("VARIANTS"))
def test_scenes_are_the_truth(layout: str, variant: Variant, tmp_path: Path) -> None:
    fake = of(layout).make(tmp_path, **variant)
    if LAYOUTS.load(layout).DATASETS and fake.dataset not in LAYOUTS.load(layout).DATASETS:
        pytest.skip(f"{fake.dataset} was not published in this layout")
    assert difference(read(layout, fake), fake) == ""
    assert not (tmp_path / MARKER).exists()


@pytest.mark.parametrize(("layout", "variant"), variants("SMALL"))
def test_what_other_programs_leave_is_not_read(layout: str, variant: Variant, tmp_path: Path) -> None:
    (tmp_path / "given").mkdir()
    fake = of(layout).make(tmp_path / "given", **variant)
    folder = replace(fake, source=fake.source if fake.source.is_dir() else fake.source.parent)
    plugin = LAYOUTS.load(layout)
    listed = plugin.files([folder.source], plugin.Config())
    _reading.sprinkle(folder.source)
    assert plugin.recognises(folder.source)
    assert plugin.files([folder.source], plugin.Config()) == listed
    assert difference(read(layout, folder), folder) == ""


@pytest.mark.parametrize("layout", TESTED)
def test_nothing_else_is_recognised(layout: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "nothing").touch()
    (tmp_path / "text.txt").write_text("images, masks and scenes\n")
    (tmp_path / "noise.bin").write_bytes(np.random.default_rng(0).bytes(5000))
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    recognised = [
        path.name for path in [*tmp_path.iterdir(), tmp_path / "absent"] if LAYOUTS.load(layout).recognises(path)
    ]
    assert recognised == []


@pytest.mark.parametrize("layout", TESTED)
def test_only_the_listed_files_are_read(layout: str, tmp_path: Path) -> None:
    fake, plugin = first(layout, tmp_path), LAYOUTS.load(layout)
    listed = plugin.files([fake.source], plugin.Config())
    assert len(set(listed)) == len(listed) and all(path.is_file() for path in listed)
    needed = [path for pattern in of(layout).NEEDED for path in fake.source.glob(pattern)]
    assert set(needed) <= set(listed)
    for path in set(tmp_path.rglob("*")) - set(listed):
        if path.is_file():
            path.write_bytes(b"replaced")
    assert difference(read(layout, fake), fake) == ""


@pytest.mark.parametrize("layout", TESTED)
def test_a_missing_source_is_reported(layout: str, tmp_path: Path) -> None:
    fake = replace(first(layout, tmp_path), source=tmp_path / "elsewhere")
    with pytest.raises(SourceError, match="elsewhere"):
        read(layout, fake)


@pytest.mark.parametrize("layout", TESTED)
def test_a_missing_file_is_reported(layout: str, tmp_path: Path) -> None:
    fake = first(layout, tmp_path)
    for path in [path for pattern in of(layout).NEEDED for path in sorted(fake.source.glob(pattern))]:
        content = path.read_bytes()
        path.unlink()
        with pytest.raises(SourceError, match=f"{re.escape(path.name)}|{re.escape(fake.source.name)}: "):
            read(layout, fake)
        path.write_bytes(content)


@pytest.mark.parametrize(("layout", "variant"), variants("SMALL"))
def test_damage_is_reported_or_harmless(layout: str, variant: Variant, tmp_path: Path) -> None:
    fake = of(layout).make(tmp_path, **variant)
    tries = _reading.damages(fake, seed=1, reads=80)
    labels = [f"{one.path.name}, {'altered' if one.flip else 'cut'} at {one.at}" for one in tries]
    complaints = _reading.in_child(labels, lambda index: _reading.judge(layout, fake, tries[index]))
    assert complaints == [], "\n".join(complaints)
    assert not (tmp_path / MARKER).exists()


@pytest.mark.parametrize("layout", [layout for layout in TESTED if hasattr(of(layout), "lone")])
def test_records_beside_a_damaged_one_are_read(layout: str, tmp_path: Path) -> None:
    fake, path, at = of(layout).lone(tmp_path)
    path.write_bytes(_reading.Damage(path, at, 1).apply(path.read_bytes()))
    plugin, wanted, intact = LAYOUTS.load(layout), expected(fake), []
    for item in items(layout, fake):
        try:
            intact += plugin.scenes(item, "0", wanted, plugin.Config())
        except CorruptDataError as error:
            assert path.name in str(error)
    assert len(intact) == len(fake.truth) - 1


@pytest.mark.parametrize(
    ("layout", "hostile"), [(layout, hostile) for layout in TESTED for hostile in of(layout).HOSTILE]
)
def test_hostile_content_is_refused(layout: str, hostile: str, tmp_path: Path) -> None:
    fake = first(layout, tmp_path)
    of(layout).HOSTILE[hostile](fake)
    assert _reading.in_child([hostile], lambda _: _reading.refused(layout, fake), memory=3 << 30) == []


@pytest.mark.parametrize("layout", TESTED)
def test_another_data_set_s_file_is_refused(layout: str, tmp_path: Path) -> None:
    fake = of(layout).mix(first(layout, tmp_path))
    with pytest.raises(SchemaError):
        read(layout, fake)


@pytest.mark.parametrize(("stored", "configured"), list(itertools.permutations(_published.ROOMS, 2)))
def test_another_part_of_objects_room_is_named(stored: str, configured: str, tmp_path: Path) -> None:
    _expect_named("objects-room", {"part": stored}, {"part": configured}, tmp_path)


@pytest.mark.parametrize(("stored", "configured"), list(itertools.permutations(_published.SPRITES, 2)))
def test_another_variant_of_multi_dsprites_is_named(stored: str, configured: str, tmp_path: Path) -> None:
    _expect_named("multi-dsprites", {"variant": stored}, {"variant": configured}, tmp_path)


def test_another_data_set_is_named(tmp_path: Path) -> None:
    _expect_named("clevr", {}, {"variant": "binarized"}, tmp_path, configured="multi-dsprites")
    _expect_named("tetrominoes", {}, {"part": "test"}, tmp_path, configured="cater")


def _expect_named(stored: str, variant: Variant, config: Variant, folder: Path, configured: str = "") -> None:
    fake = of("multi-object-datasets").make(folder, dataset=stored, **variant)
    other = expected(replace(fake, dataset=configured or stored, config=config))
    fields = expected(fake).fields
    if fields == other.fields:
        pytest.skip("their files have the same features")
    with pytest.raises(SchemaError) as caught:
        read("multi-object-datasets", fake, other)
    titles = [title for title, known in DATASETS.load(stored).SCHEMAS.items() if known == fields]
    assert titles and any(title in str(caught.value) for title in titles), (titles, caught.value)
    assert fake.source.name in str(caught.value)


@pytest.mark.parametrize("layout", TESTED)
@pytest.mark.parametrize("suffix", ["npy", "npz", "npy.gz"])
def test_a_pickle_is_not_opened(layout: str, suffix: str, tmp_path: Path) -> None:
    content = tmp_path / "content.npy"
    fakes.save_pickle(content, tmp_path / MARKER)
    for name in ("train_images", "train_masks"):
        path = tmp_path / "given" / f"{name}.{suffix}"
        path.parent.mkdir(exist_ok=True)
        _store(content, path)
    for source in (path.parent, path):
        fake = Fake("multi-dsprites", {"variant": "colored_on_colored"}, source, [])
        LAYOUTS.load(layout).recognises(source)
        with pytest.raises(IodineKitError):
            read(layout, fake)
    assert not (tmp_path / MARKER).exists()


def _store(content: Path, path: Path) -> None:
    if path.suffix == ".npz":
        bombs = np.array([fakes.Bomb(path.parent.parent / MARKER)], dtype=object)
        np.savez(path, allow_pickle=True, images=bombs, masks=bombs, imgs=bombs, image=bombs, mask=bombs)
    else:
        path.write_bytes(gzip.compress(content.read_bytes()) if path.suffix == ".gz" else content.read_bytes())


def test_a_pickle_in_a_tar_is_not_opened(tmp_path: Path) -> None:
    fake = first("oclf", tmp_path, evil="pickle")
    with pytest.raises(IodineKitError, match="shard"):
        read("oclf", fake)
    assert not (tmp_path / MARKER).exists()


@pytest.mark.parametrize("name", ["../0.image.npy.gz", "/tmp/0.image.npy.gz", "a/../../0.image.npy.gz", "../../x"])
def test_a_member_outside_its_tar_is_refused(name: str, tmp_path: Path) -> None:
    fake = first("oclf", tmp_path, evil=name)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(SchemaError, match="shard"):
        read("oclf", fake)
    assert sorted(tmp_path.rglob("*")) == before and not Path("/tmp/0.image.npy.gz").exists()


@pytest.mark.parametrize(("layout", "flaw"), [(layout, flaw) for layout in TESTED for flaw in of(layout).FLAWS])
def test_a_mask_that_is_not_a_partition_is_refused(layout: str, flaw: str, tmp_path: Path) -> None:
    others = [{"dataset": "cater", "part": "train", "scenes": 1}] if layout == "multi-object-datasets" else []
    for variant in (*of(layout).SMALL[:1], {"dataset": "clevr"}, *others):
        folder = tmp_path / str(variant.get("dataset", "small"))
        folder.mkdir()
        fake = of(layout).make(folder, flaw=flaw, **variant)
        with pytest.raises(SchemaError, match=rf"\b{PIXEL[0]}\b.*\b{PIXEL[1]}\b"):
            read(layout, fake)
