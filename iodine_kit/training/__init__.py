"""Training of any model that has a loss: the loop, its schedules, checkpoints and log; on one or several devices."""
