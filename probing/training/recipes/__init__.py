"""Recipes: settings and plan side by side, one file each."""
