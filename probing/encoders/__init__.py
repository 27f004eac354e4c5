"""Text to hidden states: frozen encoders, with Hugging Face models underneath."""
