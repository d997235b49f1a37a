"""Names of the files of a training run."""

CHECKPOINTS = "checkpoint-*.safetensors"
WEIGHTS = "weights.safetensors"
METRICS = "metrics.jsonl"


def checkpoint_name(step: int) -> str:
    """Of the checkpoint after ``step`` steps; names sort as steps do."""
    return CHECKPOINTS.replace("*", f"{step:09d}")


def nonfinite_name(step: int) -> str:
    """Of the batch with which step ``step``, counted from 1, was not finite."""
    return f"nonfinite-{step:09d}.npz"
