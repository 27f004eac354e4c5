"""One part of each kind that probing knows, none of them made of probing's own."""
