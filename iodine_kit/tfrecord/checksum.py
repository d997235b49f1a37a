"""The checksum of TensorFlow's TFRecord framing."""

from __future__ import annotations

import google_crc32c


def masked_crc32c(data: bytes) -> int:
    """Return the CRC-32C (Castagnoli) of ``data``, rotated right by 15 bits and shifted by a constant, in 0…2³²-1.

    Source: TensorFlow's TFRecord framing, which masks the sum because a record may itself contain checksums.
    """
    crc = int(google_crc32c.value(data))
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF
