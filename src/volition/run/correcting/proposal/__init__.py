"""What somebody's words, or the verdicts that they overruled, become: proposed, checked, read."""
