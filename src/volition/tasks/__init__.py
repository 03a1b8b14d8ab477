"""What is to be done: a task as a folder, the bundled ones, and what is true of those."""
