"""How numbers, dates and sentences are written in French and English; the same for pages, editions and messages.

numbers.py    values, units, intervals, changes, dates
catalogue.py  gettext catalogues of sentences, by key
sources.py    sources: words of ours in the language, titles of others in their own
tokens.py     colours of the visual language
"""
