"""Environments that can be set to a state, one file a kind."""
