"""Released weights from the command line: import, infer, eval, traverse, report, compare; download; every failure."""

from __future__ import annotations

import json
import re
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from golden.recipe import RELEASE
from support import TINY, Command
from unit.reporting.page_parser import PageParser
from unit.stages.released import archive, checkpoint

GENUINE = RELEASE / "tetrominoes.ckpt-1000000.index"


@pytest.mark.slow
def test_imported_weights_go_through_every_stage(iodine_kit: Command, tmp_path: Path) -> None:
    run = iodine_kit("import-checkpoint", GENUINE).stdout.strip()
    told = iodine_kit("infer", "--run", run, status=10).stderr
    assert "has no data set 'tetrominoes', which the imported weights" in told
    assert "'iodine-kit prepare tetrominoes'" in told
    iodine_kit("prepare", "multi-dsprites", "--generate", 4, "--split", "test=4")
    data = iodine_kit(
        "prepare", "tetrominoes", "--generate", 10, "--split", "train=4", "--split", "test=6"
    ).stdout.strip()
    done = iodine_kit("infer", "--set", "infer.steps=2", "--json")
    assert f"using dataset {data}" in done.stderr and json.loads(done.stdout)["slots"] == 4
    ours = iodine_kit("eval", "--metric", "ari", "--metric", "mse").stdout.strip()
    iodine_kit("traverse", "--set", "traverse.scenes=2", "--set", "traverse.dimensions=2")
    report = tmp_path / iodine_kit("report").stdout.strip()
    page = (report / "index.html").read_text("utf-8")
    assert PageParser(page).errors == [] and "release-tetrominoes" in page and "iodine-tetrominoes-imported" in page
    assert "tetrominoes.ckpt-1000000.index" in page and "traversal" in page
    shown = iodine_kit("show", run).stdout
    assert "steps = 1000000" in shown and GENUINE.name in shown
    iodine_kit("verify", report)
    iodine_kit("train", "--dataset", data, *TINY, "--set", "train.steps=2", "--set", "train.batch_size=4")
    iodine_kit("infer", "--set", "infer.steps=2")
    theirs = iodine_kit("eval", "--metric", "ari", "--metric", "mse").stdout.strip()
    assert "iodine-tetrominoes-imported" in iodine_kit("compare", ours, theirs).stderr
    iodine_kit("report", "--evaluation", ours, "--evaluation", theirs)
    refused = iodine_kit("study", "steps", "--run", run, status=3).stderr
    assert "the weights of this run were imported" in refused and "Traceback" not in refused


class Served:
    """A server of the archive on this machine, which may fail beyond some byte, and remembers what was asked for."""

    def __init__(self, archive: Path) -> None:
        served = self
        self.data: bytes | None = archive.read_bytes()
        self.fails_from, self.starts = len(self.data), list[int]()

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                self.answer(body=False)

            def do_GET(self) -> None:
                self.answer(body=True)

            def answer(self, body: bool) -> None:
                first, last = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "bytes=0-")).groups()
                if served.data is None or int(first) >= served.fails_from:
                    self.send_error(404 if served.data is None else 503)
                    return
                part = served.data[int(first) : int(last) + 1 if last else None]
                self.send_response(206 if "Range" in self.headers else 200)
                self.send_header("Accept-Ranges", "bytes")
                self.send_header("Content-Length", str(len(part)))
                self.send_header("Content-Range", f"bytes {first}-{int(first) + len(part) - 1}/{len(served.data)}")
                self.end_headers()
                if body:
                    served.starts.append(int(first))
                    self.wfile.write(part)

            def log_message(self, *arguments: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}/iodine_checkpoints.zip"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    (tmp_path / "served").mkdir()
    found = Served(archive(tmp_path / "served" / "iodine_checkpoints.zip"))
    yield found
    found.server.shutdown()
    found.server.server_close()


def test_the_archive_is_downloaded_once_and_an_interrupted_download_goes_on(
    iodine_kit: Command, tmp_path: Path, served: Served
) -> None:
    command = ("import-checkpoint", "deepmind:multi_dsprites", "--source", served.address, "--json")
    served.fails_from = 1 << 22
    told = iodine_kit(*command, status=5).stderr
    assert "cannot be downloaded" in told and told.count("error: ") == 1 and "Traceback" not in told
    served.fails_from, served.starts = len(served.data or b""), []
    first = json.loads(iodine_kit(*command).stdout)
    assert first["preset"] == "release-multi-dsprites" and first["steps"] == 1_000_000
    assert served.starts and min(served.starts) > 0
    served.data = None
    again = iodine_kit("import-checkpoint", "deepmind:clevr6", "--source", served.address, "--json")
    assert json.loads(again.stdout)["dataset"] == "clevr" and "up to date" in again.stderr
    gone = iodine_kit(
        "import-checkpoint", "deepmind:clevr6", "--source", served.address, "--overwrite", status=5
    ).stderr
    assert "cannot be downloaded" in gone and "--source FILE" in gone and gone.count("error: ") == 1
    assert {path.name.rpartition("-")[0] for path in (tmp_path / "data" / "run").iterdir()} == {
        "iodine-multi-dsprites-imported", "iodine-clevr6-imported",
    }  # fmt: skip


@pytest.mark.slow
def test_every_failure_is_one_sentence_with_its_status(iodine_kit: Command, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged" / GENUINE.name
    damaged.parent.mkdir()
    shutil.copy(GENUINE, damaged)
    (tmp_path / "cut.index").write_bytes(GENUINE.read_bytes()[:-3])
    nan = checkpoint(tmp_path / "nan", "tetrominoes", **{"encoder_net/cnn/mlp/linear_0/b": None})
    for name, status, words in (
        ("nowhere", 5, "no such file"),
        (damaged, 5, "this shard of the checkpoint is missing"),
        ("cut", 6, "not the index of a TensorFlow checkpoint, or truncated"),
        (nan, 7, "is missing in the checkpoint"),
        ("deepmind:clevr7", 4, "did you mean 'clevr6'"),
    ):
        told = iodine_kit("import-checkpoint", name, status=status).stderr
        assert words in told and told.count("error: ") == 1 and "Traceback" not in told
    told = iodine_kit("import-checkpoint", GENUINE, "--set", "model.preset=release-clevr6", status=7).stderr
    assert "not a checkpoint of the network release-clevr6" in told
    assert not (tmp_path / "data" / "run").exists()
