"""What is put to a judge that is certified, and how it gets there: live, on sheets, in files."""
