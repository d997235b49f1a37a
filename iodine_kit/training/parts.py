"""Which images of a batch are computed together."""

from __future__ import annotations

from iodine_kit.errors import ConfigError
from iodine_kit.records import Part


def divide(first: int, count: int, total: int, parts: int) -> list[Part]:
    """Cut a rank's ``count`` images, from place ``first`` of ``total``, into equal ``parts``.

    Raises:
        ConfigError: if they do not divide.
    """
    each, left = divmod(count, parts)
    if left or not each:
        ranks = "" if count == total else f" of each of {total // count} ranks"
        raise ConfigError(f"train.accumulate: {count} images{ranks} do not divide into {parts} equal parts")
    return [Part(first + number * each, each, total) for number in range(parts)]
