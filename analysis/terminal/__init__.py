"""Tables that are printed on a terminal: of a run, of a training, of two runs."""
