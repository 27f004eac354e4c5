"""Readers of task files: SentEval's form, tables, folders, the hub."""
