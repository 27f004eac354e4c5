"""Hidden states to layer stack: batches, pooling, and what is kept of it."""
