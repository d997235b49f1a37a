"""Opening what stages wrote: a split of a data set, a trained model, predictions beside their truth."""
