"""Names of the files of a training run."""

CHECKPOINT = "checkpoint.safetensors"
WEIGHTS = "weights.safetensors"
METRICS = "metrics.jsonl"
