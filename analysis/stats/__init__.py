"""Statistics on tidy frames: summaries, paired comparisons, depth, seeds, convergence, pruning."""
