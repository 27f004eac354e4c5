"""Settings: one field is one flag, and its docstring is the flag's help; and how they are checked."""
