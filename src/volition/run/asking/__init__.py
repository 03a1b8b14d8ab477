"""What a live judge is asked: first, beside learning, and in all."""
