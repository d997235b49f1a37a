"""Reads a file as DeepMind's multi_object_datasets does, for ``read_tfrecord.py``; needs TensorFlow and nothing else.

Takes the file's path and its features as JSON, ``{name: [dtype, shape]}``. For every line of input it reads the file
once, to numpy arrays on one thread, and prints the number of records and the CPU seconds.
"""

from __future__ import annotations

import json
import os
import sys
from time import process_time
from typing import Any

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import tensorflow as tf

_BUFFER = 2 << 20


def dataset(path: str, features: dict[str, tuple[str, list[int]]]) -> Any:
    """The records as the official readers decode them: a string per byte, then ``decode_raw``, then ``squeeze``."""
    types = {"uint8": tf.string, "float32": tf.float32}
    specs = {name: tf.io.FixedLenFeature(shape, types[dtype]) for name, (dtype, shape) in features.items()}

    def decode(record: Any) -> Any:
        example = tf.io.parse_single_example(record, specs)
        for name, spec in specs.items():
            if spec.dtype == tf.string:
                example[name] = tf.squeeze(tf.io.decode_raw(example[name], tf.uint8), axis=-1)
        height, width = specs["image"].shape[:2]
        if specs["mask"].shape[:2] == [height, width]:
            example["mask"] = tf.transpose(example["mask"], [2, 0, 1, 3])
        return example

    return tf.data.TFRecordDataset(path, compression_type="GZIP", buffer_size=_BUFFER).map(decode)


def main() -> None:
    """Read as often as asked."""
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    records = dataset(sys.argv[1], json.loads(sys.argv[2]))
    for _ in sys.stdin:
        start = process_time()
        count = sum(1 for _ in records.as_numpy_iterator())
        print(count, process_time() - start, tf.__version__, flush=True)


if __name__ == "__main__":
    main()
