"""Contracts of the parts: encoder, probe, measure and others. The conformance tests quote these."""
