"""Judges that are asked over a network: the providers' wires, and what they share."""
