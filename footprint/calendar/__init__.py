"""Calendar of an organisation: named periods, ranges of its time zone, and the ranges that roll-ups are stored by."""
