"""Core vocabulary: records, timestamps, units and packaged tables. Standard library only, because the agent imports it."""
