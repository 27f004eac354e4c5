"""Ways of making encoders: one loop, and recipes that compose it with objectives and transforms."""
