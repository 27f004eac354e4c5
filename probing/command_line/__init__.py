"""A command from the moment it begins: may it start, what was typed, what a screen may cost."""
