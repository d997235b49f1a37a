from __future__ import annotations

import errno
import socket

import pytest

from iodine_kit.errors import RemoteError
from iodine_kit.remote.address import parse_address
from iodine_kit.remote.failures import remote_errors

ADDRESS = parse_address("sftp://somebody:a-secret@host/a")


class AnswerError(Exception):
    """An error like those of botocore: the service answers with a code."""

    def __init__(self, code: str) -> None:
        super().__init__(f"{code} for sftp://somebody:a-secret@host/a?X-Amz-Signature=abc")
        self.response = {"Error": {"Code": code}}


def from_code(code: str) -> OSError:
    """As s3fs does: a built-in error whose cause is the answer of the service."""
    error = OSError(errno.EIO, str(AnswerError(code)))
    error.__cause__ = AnswerError(code)
    return error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (from_code("AccessDenied"), "access denied"),
        (from_code("SignatureDoesNotMatch"), "access denied"),
        (PermissionError("Forbidden"), "access denied"),
        (from_code("NoSuchBucket"), "this bucket does not exist"),
        (socket.gaierror(-2, "Name or service not known"), "cannot be reached"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), "cannot be reached"),
        (TimeoutError(), "cannot be reached (TimeoutError)"),
        (OSError(errno.EHOSTUNREACH, "No route to host"), "cannot be reached"),
        (from_code("SlowDown"), "cannot be read"),
        (ValueError("odd answer of a-secret"), "cannot be read (odd answer of ***)"),
    ],
)
def test_every_failure_is_one_sentence_without_the_password(error: Exception, said: str) -> None:
    with pytest.raises(RemoteError) as raised, remote_errors(ADDRESS, "read"):
        raise error
    sentence = str(raised.value)
    assert sentence.startswith("sftp://somebody:***@host/a: ") and said in sentence
    assert "a-secret" not in sentence and "Signature=" not in sentence and "\n" not in sentence


def test_a_missing_file_stays_one() -> None:
    with pytest.raises(FileNotFoundError), remote_errors(ADDRESS, "read"):
        raise FileNotFoundError("a")
