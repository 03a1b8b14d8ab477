"""What is exchanged with other libraries. What needs one is behind an extra, and imported late."""
