"""The only SQL and the only files: the store, pictures, tensors, whole-or-nothing writes."""
