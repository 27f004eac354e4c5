"""Text and labels: readers and builders of tasks."""
