"""The command line: parse, call, print."""

from volition.cli.main import VERBS, main

__all__ = ["VERBS", "main"]
