"""JSON files of unknown origin and any length: their parts are read one by one, and never all at once."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from iodine_kit.errors import CorruptDataError, SchemaError
from iodine_kit.system import storage_error

_CHUNK = 1 << 20  # characters
_LONGEST = 1 << 24  # characters of one part; an entry of CLEVR's scene files has a few thousand
_AFTER_VALUE = frozenset(" \t\r\n,:]}")
_NOT_SPACE = re.compile(r"[^ \t\r\n]")


def elements(path: Path, name: str) -> Iterator[Any]:
    """The elements of the array ``name`` of the outermost object, one by one.

    Raises:
        CorruptDataError: the file is no UTF-8 text, no JSON, or has a part that is far too long.
        SchemaError: there is no such array.
        StorageError: the operating system refuses to read it.
    """
    with _opened(path) as file:
        yield from _Stream(file, path).elements(name)


def document(path: Path) -> Any:
    """The only value of a small file; raises what :func:`elements` raises."""
    with _opened(path) as file:
        text = file.read(_LONGEST)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CorruptDataError(f"{path}: not valid JSON ({error}); write it again") from None


@contextmanager
def _opened(path: Path) -> Iterator[TextIO]:
    try:
        with path.open(encoding="utf-8-sig") as file:
            yield file
    except UnicodeDecodeError as error:
        raise CorruptDataError(f"{path}: is not UTF-8 text ({error}); unpack the archive again") from error
    except OSError as error:
        raise storage_error(error, path) from error


class _Stream:
    """A JSON text, of which only a window is in memory; ``_window[_at]`` is the next character."""

    def __init__(self, file: TextIO, path: Path) -> None:
        self._file, self._path = file, path
        self._window, self._at, self._dropped = "", 0, 0
        self._decoder = json.JSONDecoder()

    def elements(self, wanted: str) -> Iterator[Any]:
        """The elements of the array ``wanted`` of the outermost object; its other members are skipped."""
        found, sign = False, self._take("{")
        while sign != "}":
            key, _ = self._value(), self._take(":")
            if key == wanted:
                found = True
                yield from self._array()
            else:
                self._value()
            sign = self._take(",}")
        if not found:
            raise SchemaError(f"{self._path}: has no '{wanted}'; give the file that lists them")

    def _array(self) -> Iterator[Any]:
        self._take("[")
        if self._next() == "]":
            self._take("]")
            return
        yield self._value()
        while self._take(",]") == ",":
            yield self._value()

    def _take(self, allowed: str) -> str:
        sign = self._next()
        if sign not in allowed:
            raise self._damaged()
        self._at += 1
        return sign

    def _next(self) -> str:
        """The next character that is not white space."""
        while (sign := _NOT_SPACE.search(self._window, self._at)) is None:
            self._at = len(self._window)
            self._extend()
        self._at = sign.start()
        return sign[0]

    def _value(self) -> Any:
        self._next()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._window, self._at)
            except (ValueError, RecursionError):
                value, end = None, len(self._window)  # the value may only be cut off by the end of the window
            if self._window[end : end + 1] in _AFTER_VALUE:  # and not within a number: the 1 of 1.5 is a value too
                self._at = end
                return value
            self._extend()

    def _extend(self) -> None:
        """Drop what was used, and read at least as much as is left, so that a long value is not parsed too often."""
        rest = self._window[self._at :]
        chunk = self._file.read(max(_CHUNK, len(rest))) if len(rest) < _LONGEST else ""
        if not chunk:
            raise self._damaged()
        self._window, self._at, self._dropped = rest + chunk, 0, self._dropped + self._at

    def _damaged(self) -> CorruptDataError:
        where = f"not valid JSON from character {self._dropped + self._at} on"
        return CorruptDataError(f"{self._path}: {where}; it is incomplete or altered; write or unpack it again")
