"""What went wrong at a remote, as one sentence: libraries of many services raise errors of their own."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from iodine_kit.errors import IodineKitError, RemoteError
from iodine_kit.remote.address import Address
from iodine_kit.system import storage_error

_DENIED = {
    "AccessDenied", "AllAccessDisabled", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken",
    "403", "401", "PermissionError", "AuthenticationException", "Forbidden",
}  # fmt: skip
_NO_CREDENTIALS = {"NoCredentialsError", "PartialCredentialsError", "ProfileNotFound", "DefaultCredentialsError"}
_UNREACHABLE = {
    "EndpointConnectionError", "ConnectTimeoutError", "ReadTimeoutError", "ConnectionClosedError", "ConnectionError",
    "ClientConnectorError", "ClientConnectorDNSError", "ServerDisconnectedError", "gaierror", "TimeoutError",
    "FSTimeoutError", "ServerTimeoutError", "NoValidConnectionsError", "ConnectionRefusedError", "SSHException",
    "ConnectionResetError", "ClientConnectionError", "ClientOSError", "BrokenPipeError", "ProxyConnectionError",
    "SocketTimeoutError", "ConnectionTimeoutError", "HTTPClientError",
}  # fmt: skip
_NETWORK = {errno.ECONNREFUSED, errno.ECONNRESET, errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ETIMEDOUT}
_MISSING_BUCKET = {"NoSuchBucket", "ContainerNotFound"}


@contextmanager
def remote_errors(address: Address, verb: str) -> Iterator[None]:
    """Turn errors of a file system into :class:`RemoteError`; a missing file stays ``FileNotFoundError``.

    Args:
        verb: what was tried: ``read`` or ``written``.
    """
    try:
        yield
    except IodineKitError:
        raise
    except Exception as error:  # of the libraries of many services
        known = _MISSING_BUCKET | _DENIED | _UNREACHABLE  # fsspec calls any failure of HTTP a missing file
        if isinstance(error, FileNotFoundError) and not _names(error) & known:
            raise
        raise _sentence(error, address, verb) from error


def _sentence(error: BaseException, address: Address, verb: str) -> IodineKitError:
    names, place = _names(error), address.shown
    if address.scheme == "file":
        return storage_error(error, getattr(error, "filename", None) or place, verb)
    reason = address.redacted(" ".join(str(error).split()))[:300] or type(error).__name__
    if names & _MISSING_BUCKET:
        return RemoteError(f"{place}: this bucket does not exist; create it, or correct the address")
    if names & _NO_CREDENTIALS:
        return RemoteError(f"{place}: no credentials ({reason}); docs/sharing.md says where they are configured")
    if names & _DENIED:
        return RemoteError(f"{place}: access denied ({reason}); check your credentials and rights")
    if names & _UNREACHABLE or _number(error) in _NETWORK:
        return RemoteError(
            f"{place}: cannot be reached ({reason}); check address and network, then repeat the command: it resumes"
        )
    return RemoteError(f"{place}: cannot be {verb} ({reason}); repeat the command: it resumes")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what caused it."""
    for _ in range(10):
        if error is None:
            return
        yield error
        error = error.__cause__ or error.__context__


def _names(error: BaseException) -> set[str]:
    """Names of the classes of an error and its causes, and the codes that a service answered."""
    names: set[str] = set()
    for one in _chain(error):
        names |= {kind.__name__ for kind in type(one).__mro__}
        response: Any = getattr(one, "response", None)
        if isinstance(response, dict):
            names.add(str(response.get("Error", {}).get("Code")))
        names.add(str(getattr(one, "status", "")))
    return names


def _number(error: BaseException) -> int | None:
    return next((one.errno for one in _chain(error) if isinstance(one, OSError) and one.errno), None)
