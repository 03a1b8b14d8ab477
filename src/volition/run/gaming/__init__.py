"""The gaming alarm: what is rewarded most is judged afresh, and compared with what was foretold."""
