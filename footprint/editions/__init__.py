"""Periodic editions: official reports that are checked, frozen, protected against disclosure, and traceable to the readings."""
