"""Run folders -> tidy pandas frames, checked at the border."""
