"""Pages and figures: the report of an evaluation, the statistics of a data set, the results of a study."""
