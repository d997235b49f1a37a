"""The commands stats, export, datasets and protocols."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support import Command
from unit.reporting.page_parser import PageParser

from iodine_kit.datasets import DATASETS
from iodine_kit.protocols import PROTOCOLS


@pytest.fixture
def prepared(iodine_kit: Command) -> str:
    """A small data set; the path that the command prints."""
    return iodine_kit("prepare", "tetrominoes", "--generate", 30).stdout.strip()


def test_stats_uses_the_most_recent_data_set_and_prints_the_artifact(
    iodine_kit: Command, tmp_path: Path, prepared: str
) -> None:
    done = iodine_kit("stats", "--output", "pages/data.html")
    artifact = tmp_path / done.stdout.strip()
    assert artifact.parent.name == "statistics" and f"using dataset {prepared}" in done.stderr
    assert "75.5 %" in done.stderr and "all" in done.stderr  # the short table
    page = (tmp_path / "pages" / "data.html").read_text("utf-8")
    assert page == (artifact / "index.html").read_text("utf-8") and PageParser(page).errors == []
    key = prepared.rpartition("-")[2]
    again = iodine_kit("stats", key[:6], "--json")
    printed = json.loads(again.stdout)
    assert tmp_path / printed["artifact"] == artifact and "up to date" in again.stderr
    assert printed["splits"]["train"]["scenes"] == 24 and printed["images_in_several_splits"] == 0
    assert json.loads((tmp_path / printed["statistics"]).read_text("utf-8"))["all"]["scenes"] == 30
    iodine_kit("verify", artifact)


def test_stats_refuses_unknown_keys_and_artifacts(iodine_kit: Command, tmp_path: Path) -> None:
    assert "make one with 'iodine-kit prepare" in iodine_kit("stats", status=10).stderr
    iodine_kit("prepare", "tetrominoes", "--generate", 3, "--set", "dataset.cell=1")
    assert "did you mean 'limit'" in iodine_kit("stats", "--set", "stats.limits=3", status=3).stderr
    assert "name a file" in iodine_kit("stats", "--output", tmp_path, status=2).stderr


def test_exported_files_can_be_prepared_again(iodine_kit: Command, tmp_path: Path, prepared: str) -> None:
    done = iodine_kit("export", prepared, "out", "--split", "train", "--split", "val")
    assert done.stdout.split() == ["out/tetrominoes_train.tfrecords", "out/tetrominoes_val.tfrecords"]
    refused = iodine_kit("export", prepared, "out", status=12)
    assert (
        "replace it with --overwrite" in refused.stderr
        and not (tmp_path / "out" / "tetrominoes_test.tfrecords").exists()
    )
    done = iodine_kit("export", prepared, "out", "--overwrite", "--compression", "zlib", "--json")
    files = json.loads(done.stdout)["files"]
    assert files == {f"out/tetrominoes_{split}.tfrecords": n for split, n in (("train", 24), ("val", 3), ("test", 3))}
    again = iodine_kit("prepare", "tetrominoes", "--source", "out/tetrominoes_train.tfrecords", "--split", "train=24")
    first, second = (
        json.loads(iodine_kit("stats", path.strip(), "--json").stdout) for path in (prepared, again.stdout)
    )
    assert first["splits"]["train"] == second["splits"]["train"]


def test_export_refuses_what_does_not_fit_the_layout(iodine_kit: Command, tmp_path: Path, prepared: str) -> None:
    assert (
        "no split 'tets'; did you mean 'test'?"
        in iodine_kit("export", prepared, "out", "--split", "tets", status=8).stderr
    )
    small = iodine_kit("prepare", "tetrominoes", "--generate", 3, "--set", "dataset.cell=2").stdout.strip()
    assert "images are 14×14" in iodine_kit("export", small, "out", status=7).stderr
    assert not (tmp_path / "out").exists()


def test_datasets_lists_generators_downloads_and_layouts(iodine_kit: Command) -> None:
    found = json.loads(iodine_kit("datasets", "--json").stdout)
    rows = {row["name"]: row for row in found["datasets"]}
    assert set(rows) == set(DATASETS.names())
    assert rows["tetrominoes"]["generator"] and rows["tetrominoes"]["download"]
    assert "multi-object-datasets" in rows["tetrominoes"]["layouts"]
    assert not rows["clevrtex"]["generator"] and "clevrtex" in rows["clevrtex"]["layouts"]
    assert {"hdf5", "webdataset"} <= {row["name"] for row in found["formats"]}
    shown = iodine_kit("datasets").stdout
    assert all(name in shown and rows[name]["summary"][:20] in shown for name in rows)


def test_protocols_are_listed_and_described(iodine_kit: Command) -> None:
    names = PROTOCOLS.names()
    found = json.loads(iodine_kit("protocols", "--json").stdout)
    assert [row["name"] for row in found] == names
    shown = iodine_kit("protocols").stdout
    for row in found:
        one = json.loads(iodine_kit("protocols", row["name"], "--json").stdout) if row is found[0] else row
        assert one == row and row["name"] in shown and row["source"] and row["rules"]
        assert all(rule["summary"] and rule["splits"]["rule"] for rule in row["rules"].values())
    detail = iodine_kit("protocols", names[0]).stdout
    assert detail.startswith(f"{names[0]}: ") and "source: " in detail and "expected" in detail
    assert "known:" in iodine_kit("protocols", "nobodys", status=4).stderr
