"""Corrections in words: a run's next version, and the ones before it."""
