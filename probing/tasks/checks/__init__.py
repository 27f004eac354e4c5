"""Checks of tasks, whatever their origin: faults, shortcuts, what is worth knowing."""
