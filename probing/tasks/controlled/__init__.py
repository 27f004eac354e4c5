"""The built-in corpus: sentences of a grammar whose confounds can be switched on."""
