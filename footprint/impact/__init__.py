"""Impact of energy: dated factors, one formula a function with its source, and the uncertainty of the result."""
