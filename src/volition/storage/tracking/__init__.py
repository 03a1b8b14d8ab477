"""Numbers over steps, for TensorBoard and for whatever else a run is tracked by."""
