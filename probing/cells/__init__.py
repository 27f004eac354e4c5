"""One cell of a run: a task on one representation under one control, computed, scored and kept."""
