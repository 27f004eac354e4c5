"""The tests: claims about the program."""
