"""Judges: whatever answers comparisons. One file for each kind."""
