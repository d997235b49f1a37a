"""Open what stages wrote: splits, models, predictions beside their true masks, and the files of evaluations."""
