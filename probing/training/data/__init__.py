"""What a training reads, as batches."""
