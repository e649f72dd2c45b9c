"""From joules to impact: the factor book, and one formula a function, each with its source."""
