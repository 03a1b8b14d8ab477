"""Environments: making them, setting them to a state, observing and drawing them."""
