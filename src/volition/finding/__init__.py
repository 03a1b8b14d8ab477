"""What is found out of an environment and a goal, so that nothing else has to be written."""
