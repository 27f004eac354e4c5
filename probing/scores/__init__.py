"""Predictions to numbers: metrics and their uncertainty."""
