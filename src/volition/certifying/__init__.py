"""Is this judge fit for this goal? Found out before any money goes into training."""
