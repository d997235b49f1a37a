"""The address of a remote: which kinds are allowed, what they need, and how they are shown without a password."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from iodine_kit.errors import ConfigError
from iodine_kit.system import to_path

CONNECT_SECONDS = 5
"""How long one attempt to connect may take."""
READ_SECONDS = 30
"""How long a server may send nothing."""


@dataclass(frozen=True)
class Scheme:
    """What is particular about a kind of address.

    Attributes:
        package: the Python package that it needs.
        install: how to install that package.
        atomic: whether a file appears only when it was sent completely; otherwise it is sent under another name.
        writable: whether ``push`` can write to it.
        jobs: most files at a time.
        options: of the file system in fsspec.
    """

    package: str = ""
    install: str = ""
    atomic: bool = False
    writable: bool = True
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
_AZ = Scheme("adlfs", "adlfs", atomic=True)
_SFTP = Scheme("paramiko", "paramiko", jobs=1, options=lambda: {"timeout": CONNECT_SECONDS})
_HTTP = Scheme("aiohttp", "aiohttp", writable=False, options=_http)
SCHEMES: Mapping[str, Scheme] = {
    "file": Scheme(options=lambda: {"auto_mkdir": True}), "memory": Scheme(), "s3": _S3, "gs": _GS, "gcs": _GS,
    "az": _AZ, "abfs": _AZ, "sftp": _SFTP, "ssh": _SFTP, "http": _HTTP, "https": _HTTP,
}  # fmt: skip
"""The schemes that an address may have. fsspec knows more: some run programs or unpack archives."""
SHOWN = "a folder, s3://BUCKET/PREFIX, gs://, az://, sftp:// or, for pull, https://"
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")


@dataclass(frozen=True)
class Address:
    """Where a remote is.

    Attributes:
        scheme: a key of :data:`SCHEMES`.
        location: what fsspec opens; can contain a password.
        shown: the same for messages, without a password.
    """

    scheme: str
    location: str = field(repr=False)
    shown: str = ""

    @property
    def kind(self) -> Scheme:
        """What is particular about this kind of address."""
        return SCHEMES[self.scheme]

    def redacted(self, text: str) -> str:
        """A text without the password of this address, and without signatures in addresses."""
        password = urlsplit(self.location).password if "://" in self.location else None
        for secret in filter(None, (password, unquote(password or ""))):
            text = text.replace(secret, "***")
        return re.sub(r"(://[^\s/@]*:)[^\s/@]+@", r"\1***@", re.sub(r"\?\S+", "", text))

    def open(self) -> tuple[Any, str]:
        """The file system of fsspec, and the path of the remote in it.

        Raises:
            ConfigError: a package is missing.
        """
        kind = self.kind
        if kind.package and importlib.util.find_spec(kind.package) is None:
            extra = "extra 's3'" if "[s3]" in kind.install else f"package {kind.package}"
            raise ConfigError(f"{self.shown}: {self.scheme}:// needs the {extra}: pip install {kind.install}")
        import fsspec  # here, because it takes a while

        if self.scheme == "file":
            return fsspec.filesystem("file", skip_instance_cache=True, **kind.options()), self.location
        system, path = fsspec.core.url_to_fs(self.location, skip_instance_cache=True, **kind.options())
        return system, path.rstrip("/") if self.scheme != "memory" else path


def parse_address(text: str) -> Address:
    """The address that a user wrote: a path, or ``scheme://…`` with a scheme of :data:`SCHEMES`.

    Raises:
        ConfigError: it has another scheme, or is no valid address.
    """
    shown = _shown(text)
    scheme, separator, rest = text.partition("://")
    scheme = scheme.lower() if separator else "file"
    if "::" in text:
        raise ConfigError(f"{shown}: '::' chains file systems, which a remote cannot be; give {SHOWN}")
    if scheme not in SCHEMES:
        raise ConfigError(f"{shown}: a remote cannot be at {scheme}://; give {SHOWN}")
    if not separator:
        return _folder(_path(text))
    if scheme == "file":
        if not rest.startswith("/"):
            raise ConfigError(f"{shown}: write file:/// with three slashes, or the path of the folder itself")
        return _folder(Path(unquote(rest)))
    return _service(scheme, rest, shown)


def _path(text: str) -> Path:
    start = _SCHEME.match(text)
    if start and start[1].lower() in SCHEMES:
        raise ConfigError(f"{text}: write {start[1].lower()}:// with two slashes")
    if not text:
        raise ConfigError(f"the address of the remote is empty; give {SHOWN}")
    host = re.match(r"([^/\\]{2,}?):", text)
    if host and not text.startswith("."):
        raise ConfigError(
            f"{host[1]}:… looks like HOST:PATH: write sftp://HOST/PATH for a server, or ./ before the name of a folder"
        )
    return to_path(text)


def _service(scheme: str, rest: str, shown: str) -> Address:
    if "?" in rest or "#" in rest:
        raise ConfigError(f"{shown}: the address of a remote has no '?' and no '#'; give {SHOWN}")
    if not rest.partition("/")[0]:
        raise ConfigError(f"{shown}: the address has no {'bucket' if SCHEMES[scheme].atomic else 'host'}")
    return Address(scheme, f"{scheme}://{rest.rstrip('/')}", shown.rstrip("/"))


def _folder(path: Path) -> Address:
    return Address("file", str(path.absolute()), str(path))


def _shown(text: str) -> str:
    """An address without its password, and without what follows a ``?``."""
    return re.sub(r"(://[^/@]*:)[^/]*@", r"\1***@", re.split(r"[?#]", text)[0] if "://" in text else text)
