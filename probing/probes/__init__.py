"""Layer stack to predictions. Every probe reads `layers sentences hidden` and gives one or more readouts of it."""
