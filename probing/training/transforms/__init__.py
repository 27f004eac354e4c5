"""Transforms of a model while it trains."""
