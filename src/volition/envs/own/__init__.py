"""The project's own environments, and how they are drawn."""
