"""Objectives that a training minimises."""
