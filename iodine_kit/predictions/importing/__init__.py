"""Parts of the stage ``import-predictions``: what arrays of others mean, in which order, and whether they may be so."""
