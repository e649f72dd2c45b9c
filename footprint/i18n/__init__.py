"""Internationalisation: numbers, dates and sentences in French and English, for pages, editions and messages."""
