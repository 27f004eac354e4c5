"""What is printed on a terminal: tables of a run, of a training, of two runs."""
