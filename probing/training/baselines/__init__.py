"""Baselines of graphs that read no text: frequencies, and embeddings of entities and relations."""
