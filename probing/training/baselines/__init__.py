"""What graphs can be answered with by no text: frequencies, and embeddings of entities and relations."""
