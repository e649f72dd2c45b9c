"""Calendar of an organisation: named periods, ranges in its time zone, and the ranges of stored roll-ups."""
