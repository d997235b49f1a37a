"""Training any model that offers a loss: the loop, its schedule, its checkpoints and its logs."""
