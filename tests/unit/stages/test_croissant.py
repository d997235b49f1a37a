from __future__ import annotations

import hashlib
import json
import tarfile
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import h5py
import pytest

from iodine_kit.errors import ArtifactCorruptError, CountError, ResumeError
from iodine_kit.progress import Silent
from iodine_kit.runner import Context, obtain
from iodine_kit.stages.croissant import export_croissant
from iodine_kit.stages.prepare import plan
from iodine_kit.store import Artifact, Store

SPLITS = {"train": 8, "test": 4}


@pytest.fixture(scope="module", params=["hdf5", "webdataset"])
def dataset(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """Twelve scenes in four shards."""
    tables = {
        "prepare": {
            "dataset": "tetrominoes",
            "generate": 12,
            "split": {"train": 8, "test": 4},
            "format": request.param,
        },
        "dataset": {"cell": 1},
        "format": {"scenes_per_shard": 3},
    }
    context = Context(Store(tmp_path_factory.mktemp("store")))
    return obtain(plan(tables, {}, context), context)


def written(output: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((output / "croissant.json").read_text("utf-8"))
    return document


def of_type(entries: list[dict[str, Any]], kind: str) -> dict[str, dict[str, Any]]:
    return {one["@id"]: one for one in entries if one["@type"] == kind}


def identifiers(value: Any) -> set[str]:
    """All ``{"@id": …}`` that refer to another entry."""
    if isinstance(value, list):
        return {one for entry in value for one in identifiers(entry)}
    if not isinstance(value, dict):
        return set()
    if set(value) == {"@id"}:
        return {value["@id"]}
    return {one for entry in value.values() for one in identifiers(entry)}


def members(shard: Path) -> list[str]:
    with tarfile.open(shard) as file:
        return file.getnames()


def test_every_file_is_there_with_its_hash_and_every_reference_leads_somewhere(
    dataset: Artifact, tmp_path: Path
) -> None:
    paths = export_croissant(dataset, tmp_path, Silent())
    document = written(tmp_path)
    files = of_type(document["distribution"], "cr:FileObject")
    assert {path.name for path in paths} == {*files, "croissant.json"} == {path.name for path in tmp_path.iterdir()}
    for name, one in files.items():
        data = (tmp_path / one["contentUrl"]).read_bytes()
        assert one["sha256"] == hashlib.sha256(data).hexdigest() and one["contentSize"] == f"{len(data)} B", name
    sets = of_type(document["distribution"], "cr:FileSet")
    fields = {field["@id"] for one in document["recordSet"] for field in one["field"]}
    del document["@context"]
    assert identifiers(document) <= {*files, *sets, *fields}
    assert document["license"] == ["https://spdx.org/licenses/Apache-2.0.html"] and "Kabra" in document["citeAs"]
    splits = next(one for one in document["recordSet"] if one["@id"] == "splits")
    assert splits["data"] == [{"splits/key": s, "splits/scenes": n} for s, n in SPLITS.items()]


def test_the_fields_are_where_the_record_sets_say(dataset: Artifact, tmp_path: Path) -> None:
    """The files themselves are the truth: columns of HDF5, or members of the tar shards."""
    export_croissant(dataset, tmp_path, Silent())
    document = written(tmp_path)
    sets = of_type(document["distribution"], "cr:FileSet")
    seen = 0
    for record_set in document["recordSet"]:
        for field in record_set["field"]:
            source = field.get("source", {})
            if "fileObject" in source:
                with h5py.File(tmp_path / source["fileObject"]["@id"]) as file:
                    column = file[source["extract"]["column"]]
                    shape = ",".join(map(str, column.shape[1:]))
                    assert field.get("arrayShape", "") == shape and field.get("isArray", False) is bool(shape)
                    kinds = {"cr:UInt8": "uint8", "cr:Float32": "float32", "sc:Text": "object"}
                    assert str(column.dtype) == kinds[field["dataType"]]
                seen += 1
            elif "fileSet" in source:
                files = sets[source["fileSet"]["@id"]]
                names = [name for shard in files["containedIn"] for name in members(tmp_path / shard["@id"])]
                count = sum(fnmatch(name, files["includes"]) for name in names)
                assert count == SPLITS[record_set["@id"].partition("-")[0]]
                seen += 1
    assert seen == 2 * (3 + 5 if list(sets) == [] else 2 * 3)


def test_a_split_alone_and_published_files(dataset: Artifact, tmp_path: Path) -> None:
    paths = export_croissant(dataset, tmp_path, Silent(), splits=["test"], url="https://data.example/tetrominoes/")
    assert [path.name for path in paths] == ["croissant.json"] == [path.name for path in tmp_path.iterdir()]
    document = written(tmp_path)
    addresses = [one["contentUrl"] for one in of_type(document["distribution"], "cr:FileObject").values()]
    assert all(one.startswith("https://data.example/tetrominoes/") for one in addresses)
    assert not any("train" in one for one in addresses) and any("/test" in one for one in addresses)
    assert document["url"] == "https://data.example/tetrominoes/"
    assert not any(one["@id"].startswith("train") for one in document["recordSet"])


def test_nothing_is_replaced_or_invented(dataset: Artifact, tmp_path: Path) -> None:
    with pytest.raises(CountError, match="no split 'tset'"):
        export_croissant(dataset, tmp_path / "a", Silent(), splits=["tset"])
    export_croissant(dataset, tmp_path / "b", Silent())
    with pytest.raises(ResumeError, match=r"croissant\.json: exists already; replace it with --overwrite"):
        export_croissant(dataset, tmp_path / "b", Silent())
    export_croissant(dataset, tmp_path / "b", Silent(), overwrite=True)
    assert not (tmp_path / "a").exists()


def test_an_altered_file_is_not_handed_out(dataset: Artifact, tmp_path: Path) -> None:
    name = next(name for name in dataset.manifest.files if name.startswith("test") and not name.endswith(".npz"))
    data = (dataset.path / name).read_bytes()
    try:
        (dataset.path / name).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        with pytest.raises(ArtifactCorruptError, match="was altered"):
            export_croissant(dataset, tmp_path, Silent())
    finally:
        (dataset.path / name).write_bytes(data)
    assert not (tmp_path / "croissant.json").exists() and not (tmp_path / name).exists()


def test_mlcroissant_accepts_the_description(dataset: Artifact, tmp_path: Path) -> None:
    mlcroissant = pytest.importorskip("mlcroissant")
    export_croissant(dataset, tmp_path, Silent())
    read = mlcroissant.Dataset(jsonld=str(tmp_path / "croissant.json"))
    assert not read.metadata.ctx.issues.errors
    assert len(list(read.records(record_set="splits"))) == 2
