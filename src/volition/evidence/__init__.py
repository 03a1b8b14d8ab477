"""What a run shows: report, film, comparison, score, verification, export."""
