"""Commands of `bermo-probing` that have no script of their own."""
