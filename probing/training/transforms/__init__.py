"""What is done to a model while it trains."""
