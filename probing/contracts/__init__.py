"""What a part must be: encoder, probe, measure. The conformance tests quote these."""
