"""Data that a training reads, as batches."""
