"""Core vocabulary: records, timestamps, units and shipped tables. Standard library only, for the agent imports it."""
