"""Which images of a batch are computed together."""

from __future__ import annotations

from dataclasses import dataclass

from iodine_kit.errors import ConfigError


@dataclass(frozen=True)
class Part:
    """Images of a step's whole batch, as models know it.

    Attributes:
        first: place of the first one in the whole batch.
        total: images in the whole batch.
        count: images of the part.
    """

    first: int
    total: int
    count: int


def divide(first: int, count: int, total: int, parts: int) -> list[Part]:
    """Cut a rank's ``count`` images, from place ``first`` of ``total``, into equal ``parts``.

    Raises:
        ConfigError: if they do not divide.
    """
    each, left = divmod(count, parts)
    if left or not each:
        ranks = "" if count == total else f" of each of {total // count} ranks"
        raise ConfigError(f"train.accumulate: {count} images{ranks} do not divide into {parts} equal parts")
    return [Part(first + number * each, total, each) for number in range(parts)]
