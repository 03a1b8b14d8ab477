"""From a wish to a goal: what a model that sees the environment makes of it, and a person's yes."""
