"""push and pull with s3fs and a real S3 server, which answers requests on a port of this machine."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from iodine_kit.cli.app import app
from iodine_kit.errors import CorruptDataError, RemoteError
from iodine_kit.progress import Silent
from iodine_kit.remote import Remote, parse_address, pull, push
from iodine_kit.store import Artifact, Store

boto3 = pytest.importorskip("boto3")
server = pytest.importorskip("moto.server")
pytest.importorskip("s3fs")


class Requests(logging.Handler):
    """Counts what the server answers, by method: ``{"PUT": 3, …}``."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines += re.findall(r"(?:GET|PUT|HEAD|POST|DELETE) \S+", record.getMessage())

    def puts(self) -> list[str]:
        """Names of the files that were sent since the last call."""
        lines, self.lines = self.lines, []
        return [line.rpartition("/")[2] for line in lines if line.startswith(("PUT", "POST"))]


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        started = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        started.start()
        host, port = started.get_host_and_port()
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "somebody")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        boto3.client("s3").create_bucket(Bucket="lab")
        yield f"http://{host}:{port}"
        started.stop()


@pytest.fixture
def requests(endpoint: str) -> Iterator[Requests]:
    handler, logger = Requests(), logging.getLogger("werkzeug")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    yield handler
    logger.removeHandler(handler)


@pytest.fixture
def address(endpoint: str, request: Any) -> str:
    return f"s3://lab/{request.node.name}"


def test_push_sends_once_and_pull_brings_everything(
    here: Store, there: Store, predictions: Artifact, address: str, requests: Requests
) -> None:
    remote = Remote(parse_address(address))
    push(here, [predictions], remote, Silent())
    assert len(requests.puts()) == 6 + 3 + 1  # files, manifests, and the version of the remote
    again = push(here, [predictions], Remote(parse_address(address)), Silent())
    assert requests.puts() == [] and (again.files, again.files_there) == (0, 6)
    pull(there, [predictions.manifest.key[:8]], Remote(parse_address(address)), Silent())
    arrived = there.open(predictions.reference.directory)
    assert arrived.manifest == predictions.manifest and there.verify(arrived) == []
    assert requests.puts() == []


def test_an_interrupted_push_continues_with_what_is_missing(
    here: Store, there: Store, predictions: Artifact, address: str, requests: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote, sent = Remote(parse_address(address)), list[str]()
    send = Remote.send

    def fails_at_the_third(self: Remote, source: Path, sha256: str, advance: Any) -> None:
        if len(sent) == 2:
            raise KeyboardInterrupt
        send(self, source, sha256, advance)
        sent.append(sha256)

    monkeypatch.setattr(Remote, "send", fails_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        push(here, [predictions], remote, Silent(), jobs=1)
    monkeypatch.undo()
    assert remote.entries() == [] and set(sent) < set(requests.puts())
    result = push(here, [predictions], remote, Silent())
    assert (result.files, result.files_there) == (4, 2) and not set(sent) & set(requests.puts())
    pull(there, [predictions.reference.directory], remote, Silent())
    assert there.verify(there.open(predictions.reference.directory)) == []


def test_a_large_file_is_sent_in_parts(
    here: Store, there: Store, make: Callable[..., Artifact], address: str, requests: Requests,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("iodine_kit.remote.layout.PART", 5 << 20)
    big = make(here, "run", {"big.bin": bytes(range(256)) * ((11 << 20) // 256)})
    push(here, [big], Remote(parse_address(address)), Silent())
    assert sum("partNumber" in name for name in requests.puts()) == 3
    pull(there, [big.reference.directory], Remote(parse_address(address)), Silent())
    assert there.verify(there.open(big.reference.directory)) == []


def test_an_altered_object_is_refused(here: Store, there: Store, predictions: Artifact, address: str) -> None:
    remote = Remote(parse_address(address))
    push(here, [predictions], remote, Silent())
    record = predictions.manifest.files["p.h5"]
    key = f"{address.removeprefix('s3://lab/')}/objects/{record.sha256[:2]}/{record.sha256}"
    boto3.client("s3").put_object(Bucket="lab", Key=key, Body=b"q" * record.bytes)
    with pytest.raises(CorruptDataError, match=f"objects/{record.sha256[:2]}/.*--overwrite"):
        pull(there, [predictions.reference.directory], remote, Silent())
    assert there.artifacts() == []


def test_a_missing_bucket_missing_credentials_and_a_dead_server_are_sentences(
    endpoint: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(RemoteError, match="this bucket does not exist"):
        Remote(parse_address("s3://no-such-bucket/a")).check()
    with pytest.raises(RemoteError, match="there is no remote here"):
        Remote(parse_address("s3://lab/empty")).check()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    done = CliRunner().invoke(app, ["pull", "--from", "s3://lab/a"])
    assert done.exit_code == 18 and "s3://lab/a: cannot be reached" in done.stderr and "a-secret" not in done.stderr
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    with pytest.raises(RemoteError, match="no credentials"):
        Remote(parse_address("s3://lab/a")).check()
