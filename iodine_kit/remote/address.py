"""The address of a remote: which kinds are allowed, what they need, and how they are shown without a password."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from iodine_kit.addresses import ENCODING, SCHEMES, Scheme, is_ambiguous, open_address, redacted
from iodine_kit.errors import ConfigError
from iodine_kit.system import to_path

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
        """A text without the password of this address, and without those of other addresses in it."""
        return redacted(text, self.location)

    def open(self) -> tuple[Any, str]:
        """The file system of fsspec, and the path of the remote in it.

        Raises:
            ConfigError: a package is missing.
        """
        if self.scheme == "file":
            import fsspec  # here, because it takes a while

            return fsspec.filesystem("file", skip_instance_cache=True, **self.kind.options()), self.location
        system, path = open_address(self.location, self.shown)
        return system, path.rstrip("/") if self.scheme != "memory" else path


def parse_address(text: str) -> Address:
    """The address that a user wrote: a path, or ``scheme://…`` with a scheme of :data:`SCHEMES`.

    Raises:
        ConfigError: it has another scheme, or is no valid address.
    """
    scheme, separator, rest = text.partition("://")
    shown = f"{scheme}://…" if separator else redacted(text)  # what is refused is not known well enough to hide secrets
    scheme = scheme.lower() if separator else "file"
    if "::" in text:
        raise ConfigError(f"{shown}: '::' chains file systems, which a remote cannot be; give {SHOWN}")
    if scheme not in SCHEMES or not SCHEMES[scheme].remote:
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
        raise ConfigError(f"{start[0]}…: write {start[1].lower()}:// with two slashes")
    if not text:
        raise ConfigError(f"the address of the remote is empty; give {SHOWN}")
    host = re.match(r"([^/\\]{2,}?):", text)
    if host and not text.startswith("."):
        raise ConfigError(
            f"{host[1]}:… looks like HOST:PATH: write sftp://HOST/PATH for a server, or ./ before the name of a folder"
        )
    return to_path(text)


def _service(scheme: str, rest: str, shown: str) -> Address:
    address = f"{scheme}://{rest.rstrip('/')}"
    if is_ambiguous(address):
        raise ConfigError(f"{shown}: {ENCODING}")
    if "?" in rest or "#" in rest:
        raise ConfigError(f"{shown}: the address of a remote has no '?' and no '#'; give {SHOWN}")
    if not rest.partition("/")[0]:
        raise ConfigError(f"{shown}: the address has no {'bucket' if SCHEMES[scheme].atomic else 'host'}")
    return Address(scheme, address, redacted(address))


def _folder(path: Path) -> Address:
    return Address("file", str(path.absolute()), str(path))
