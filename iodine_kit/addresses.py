"""Addresses such as ``s3://BUCKET/FILE``: which kinds are opened, how, and how they are shown without their secrets.

The secrets of an address are a password or token before ``@``, and the parameters that sign it after ``?``.
"""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from iodine_kit.errors import ConfigError
from iodine_kit.system import readable

CONNECT_SECONDS = 5
"""How long one attempt to connect may take."""
READ_SECONDS = 30
"""How long a server may send nothing."""
HIDDEN = "***"
ENCODING = "write '/', '?', '#', '@' and spaces in a user name or password as %2F, %3F, %23, %40 and %20"


@dataclass(frozen=True)
class Scheme:
    """What is particular about a kind of address.

    Attributes:
        package: the Python package that it needs.
        install: how to install that package.
        atomic: whether a file appears only when it was sent completely; otherwise it is sent under another name.
        writable: whether ``push`` can write to it.
        remote: whether ``push`` and ``pull`` know it; otherwise it is only a source of published data.
        named_user: whether what is before ``@`` is part of the place, as in ``sftp://USER@HOST``. Else it is a secret.
        jobs: most files at a time.
        options: of the file system in fsspec.
    """

    package: str = ""
    install: str = ""
    atomic: bool = False
    writable: bool = True
    remote: bool = True
    named_user: bool = False
    jobs: int = 32
    options: Callable[[], Mapping[str, Any]] = dict


def _s3() -> Mapping[str, Any]:
    limits = {"connect_timeout": CONNECT_SECONDS, "read_timeout": READ_SECONDS, "retries": {"total_max_attempts": 2}}
    return {"config_kwargs": limits, "use_listings_cache": False}


def _http() -> Mapping[str, Any]:
    import aiohttp

    limits = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=READ_SECONDS)
    return {"client_kwargs": {"trust_env": True, "timeout": limits}, "use_listings_cache": False}


_S3 = Scheme("s3fs", "'iodine-kit[s3]'", atomic=True, options=_s3)
_GS = Scheme("gcsfs", "gcsfs", atomic=True)
_AZ = Scheme("adlfs", "adlfs", atomic=True, named_user=True)
_SFTP = Scheme("paramiko", "paramiko", named_user=True, jobs=1, options=lambda: {"timeout": CONNECT_SECONDS})
_HTTP = Scheme("aiohttp", "aiohttp", writable=False, options=_http)
_FTP = Scheme(remote=False, named_user=True, options=lambda: {"timeout": READ_SECONDS})
SCHEMES: Mapping[str, Scheme] = {
    "file": Scheme(options=lambda: {"auto_mkdir": True}), "memory": Scheme(), "s3": _S3, "gs": _GS, "gcs": _GS,
    "az": _AZ, "abfs": _AZ, "sftp": _SFTP, "ssh": _SFTP, "http": _HTTP, "https": _HTTP,
    "ftp": _FTP, "hf": Scheme("huggingface_hub", "huggingface_hub", remote=False),
}  # fmt: skip
"""The schemes that an address may have. fsspec knows more: some run programs or unpack archives."""
_START = r"[A-Za-z][A-Za-z0-9+.-]*://"
_ADDRESS = re.compile(rf"({_START})((?:(?!{_START})\S)*)")
_CLOSING = re.compile(r"[\"'<>\])},;]*$")
_SIGNING = re.compile(
    r"(?i)x-(amz|goog|ms)-.*|.*(signature|token|secret|passw|credential|auth).*|.*key|key-pair-id|sig|pwd|policy|jwt|"
    r"awsaccesskeyid|googleaccessid"
)
"""Names of parameters that hold a secret or belong to a signature."""
_SIGNED = re.compile(r"(?i)s[vetrpiks]|sks|skv|ske|skt|spr|sip|ss|srt|skoid|sktid|expires")
"""Names of parameters that belong to a signature if there is one, as in addresses of Azure."""


def open_address(location: str, shown: str) -> tuple[Any, str]:
    """The file system of fsspec for an address, and the path in it.

    Args:
        location: begins with a key of :data:`SCHEMES` and ``://``.
        shown: the same for messages.

    Raises:
        ConfigError: a package is missing.
    """
    scheme = location.partition("://")[0]
    kind = SCHEMES[scheme]
    if kind.package and importlib.util.find_spec(kind.package) is None:
        extra = "extra 's3'" if "[s3]" in kind.install else f"package {kind.package}"
        raise ConfigError(f"{shown}: {scheme}:// needs the {extra}: pip install {kind.install}")
    import fsspec  # here, because it takes a while

    system, path = fsspec.core.url_to_fs(location, skip_instance_cache=True, **kind.options())
    return system, path


def without_secrets(address: str) -> str:
    """An address as it is recorded: without its secrets. Anything else, such as a path, is returned as it is."""
    scheme, separator, rest = address.partition("://")
    return f"{scheme}://{_cleaned(scheme, rest, '')}" if separator else address


def redacted(text: str, address: str = "") -> str:
    """A text, such as an error or an argument, without the secrets of the addresses in it, and of ``address``."""
    for secret in sorted(_secrets(address), key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    if "://" not in text:
        return text
    return _ADDRESS.sub(lambda found: found[1] + _cleaned(found[1][:-3], found[2], HIDDEN), text)


def is_ambiguous(address: str) -> bool:
    """Whether what is before ``@`` has characters that end it for others: then nobody knows what is secret."""
    rest = address.partition("://")[2]
    return bool(re.search(r"[/?#@\s]", rest[: max(_before_host(rest) - 1, 0)]))


def _cleaned(scheme: str, rest: str, mark: str) -> str:
    """What follows ``://``, without secrets; ``mark`` stands for a password or token."""
    length = _before_host(rest)
    user, colon, _ = rest[: max(length - 1, 0)].partition(":")
    place, end = rest[length:], ""
    if "?" in place:
        end = _CLOSING.findall(place)[0]
        place = _unsigned(place.removesuffix(end))
    known = SCHEMES.get(scheme.lower())
    if length and known and known.named_user:
        user += f":{mark}@" if colon and mark else "@"
    else:
        user = f"{mark}@" if length and mark else ""
    return user + place + end


def _before_host(rest: str) -> int:
    """Length of what is before the host, with its ``@``; 0 if there is nothing."""
    authority = rest.partition("/")[0]
    if "@" in authority:
        return authority.rindex("@") + 1
    if re.fullmatch(r"(\[[^\]]*\]|[^:]*)(:\d*)?([?#].*)?|arn:.*", authority):
        return 0
    return rest.rfind("@") + 1  # no host and port: probably a password with '/'


def _unsigned(place: str) -> str:
    path, _, query = place.partition("?")
    query, hash_, fragment = query.partition("#")
    secret = _secret_parameters(query)
    if not secret:
        return place
    kept = "&".join(one for one in query.split("&") if one not in secret)
    return path + (f"?{kept}" if kept else "") + hash_ + fragment


def _secret_parameters(query: str) -> list[str]:
    """The parameters ``NAME=VALUE`` that are secret or belong to a signature."""
    parameters = query.split("&")
    secret = [one for one in parameters if _SIGNING.fullmatch(unquote(one.partition("=")[0]))]
    # The name of a file may be a 'key', too.
    secret = [one for one in secret if one.partition("=")[0] != "key" or not re.search("[./]", unquote(one))]
    if secret:
        secret += [one for one in parameters if one not in secret and _SIGNED.fullmatch(one.partition("=")[0])]
    return secret


def _secrets(address: str) -> set[str]:
    """The secrets of an address, as they are written and as they are meant."""
    scheme, _, rest = address.partition("://")
    length = _before_host(rest)
    user, colon, password = rest[: max(length - 1, 0)].partition(":")
    known = SCHEMES.get(scheme.lower())
    found = {password, "" if colon or (known and known.named_user) else user}
    found |= {one.partition("=")[2] for one in _secret_parameters(rest.partition("?")[2].partition("#")[0])}
    found = {one for one in found if len(one) > 1}
    return found | {unquote(one) for one in found}


def this_command() -> list[str]:
    """The command of this process, without the secrets of addresses."""
    return [str(readable(one)) for one in (Path(sys.argv[0]).name, *map(redacted, sys.argv[1:]))]
