"""One run as others may take it: a folder of tables with cards, or a data set on the Hugging Face hub."""
