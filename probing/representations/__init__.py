"""Hidden states to layer stack: pooling and extraction."""
