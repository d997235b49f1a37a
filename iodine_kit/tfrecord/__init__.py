"""Reading and writing TFRecord files of ``tf.train.Example`` messages, such as DeepMind's multi_object_datasets.

A file's bytes pass through four modules: `compression` decompresses them, `framing` splits them into records and
verifies their checksums, `example` parses a record into features (`wire` implements protobuf's encoding), and `reader`
converts them to the requested dtypes and shapes. `fixed_layout` is a faster way for records with a known layout.
`serialize` and `writer` write files. Neither TensorFlow nor protobuf is needed.
"""

from iodine_kit.tfrecord.compression import Compression, InflateError, masked_crc32c, open_inflated, sniff
from iodine_kit.tfrecord.example import parse_example
from iodine_kit.tfrecord.feature import Feature, as_float32, as_int64, as_uint8
from iodine_kit.tfrecord.fixed_layout import read_expected
from iodine_kit.tfrecord.framing import read_frames, read_records, verify
from iodine_kit.tfrecord.reader import FieldSpec, RawExample, check_features, decode, parse_record, read_examples
from iodine_kit.tfrecord.serialize import serialize_example
from iodine_kit.tfrecord.wire import WireError
from iodine_kit.tfrecord.writer import write_records

__all__ = [
    "Compression",
    "Feature",
    "FieldSpec",
    "InflateError",
    "RawExample",
    "WireError",
    "as_float32",
    "as_int64",
    "as_uint8",
    "check_features",
    "decode",
    "masked_crc32c",
    "open_inflated",
    "parse_example",
    "parse_record",
    "read_examples",
    "read_expected",
    "read_frames",
    "read_records",
    "serialize_example",
    "sniff",
    "verify",
    "write_records",
]
