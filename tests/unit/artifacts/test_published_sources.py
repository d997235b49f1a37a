"""Addresses of sources: which are opened, and that no secret of one is recorded or printed."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import fsspec
import pytest

import iodine_kit
from iodine_kit import addresses
from iodine_kit.artifacts.published_sources import fetch
from iodine_kit.errors import SourceError
from iodine_kit.runner import Context
from iodine_kit.store import Store

SIGNATURE = "X-Amz-Signature=s1gnature&X-Amz-Date=2026&part=1"


@pytest.fixture
def host(mini: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server that wants a password and a signature."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            allowed = "Authorization" in self.headers and self.path.endswith(SIGNATURE) and "/mini" in self.path
            self.send_response(200 if allowed else 403)
            self.send_header("Content-Length", str(mini.stat().st_size if allowed else 0))
            self.end_headers()
            if allowed and self.command == "GET":
                self.wfile.write(mini.read_bytes())

        do_HEAD = do_GET

        def log_message(self, *arguments: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_no_secret_of_an_address_is_recorded_or_printed(
    host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    address = f"http://somebody:sesame@{host}/mini.tfrecords?{SIGNATURE}"
    monkeypatch.setattr(
        sys, "argv", ["iodine-kit", "prepare", "--source", address, f"--set=prepare.source=[{address}]"]
    )
    split: dict[str, Any] = {"split": {"train": 1}, "store": tmp_path / "data"}
    made = iodine_kit.prepare("tetrominoes", source=address, **split)
    (source,) = made.manifest.identity.sources
    assert source.location == f"http://{host}/mini.tfrecords?part=1"
    assert made.manifest.made["command"][3] == f"http://***@{host}/mini.tfrecords?part=1"
    again = iodine_kit.prepare("tetrominoes", source=address.replace("s1gn", "other-s1gn"), **split)
    assert again.path == made.path and len(Store(tmp_path / "data").artifacts("download")) == 1
    with pytest.raises(SourceError, match="cannot be downloaded") as raised:
        iodine_kit.prepare("tetrominoes", source=address.replace("mini", "none"), **split)
    files = [path for path in (tmp_path / "data").rglob("*") if path.is_file()]
    printed = (str(raised.value) + "".join(capfd.readouterr())).encode()
    assert len(files) > 4
    for text in (printed, *(path.read_bytes() for path in files), *(str(path).encode() for path in files)):
        assert b"sesame" not in text and b"s1gnature" not in text


@pytest.mark.parametrize(
    "address",
    [
        *(f"{scheme}://a.tfrecords" for scheme in sorted(fsspec.available_protocols()) if scheme not in {
            "file", "memory", "http", "https", "ftp", "s3", "gs", "gcs", "az", "abfs", "sftp", "ssh", "hf",
        }),
        "simplecache::https://host/a.tfrecords",
        "https://host/a.tfrecords::file",
        "zip://*.tfrecords::/etc/a.zip",
    ],
)  # fmt: skip
def test_an_address_of_another_kind_is_refused_before_anything_is_opened(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fsspec.core, "url_to_fs", lambda *_, **__: pytest.fail("opened"))
    with pytest.raises(SourceError, match="are not opened; give a path, https://"):
        fetch([address], Context(Store(tmp_path)))


def test_a_password_that_is_not_encoded_is_refused_and_not_printed(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"^sftp://…: write '/', .* as %2F") as raised:
        fetch(["sftp://somebody:ses/ame@host/a.tfrecords"], Context(Store(tmp_path)))
    assert "ses" not in str(raised.value).replace("addresses", "")


def test_a_server_that_sends_nothing_ends_the_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "READ_SECONDS", 0.05)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as server, pytest.raises(SourceError, match="cannot be downloaded"):
        fetch([f"http://127.0.0.1:{server.getsockname()[1]}/a.tfrecords"], Context(Store(tmp_path)))
