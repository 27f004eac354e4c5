"""Engines: ways of computing units of work. See `probing.work`."""
