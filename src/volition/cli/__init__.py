"""The command line: parse, call, print."""

from volition.cli.program import VERBS, main

__all__ = ["VERBS", "main"]
