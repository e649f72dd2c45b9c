"""Footprint: what AI services consume, how sure that is, and from which readings it comes."""
