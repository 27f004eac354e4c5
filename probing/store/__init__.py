"""Store on disk: files that are whole or absent, the cache of layer stacks, run folders."""
