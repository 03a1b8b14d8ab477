"""Questions under way: the thread, its engine and writer, and folders of questions and answers."""
