"""Corrections from the command line: what is said, proposed, and done."""
