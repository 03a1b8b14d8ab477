"""A run: its folder, its stages, and what it measures."""
