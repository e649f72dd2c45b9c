"""Periodic editions: what is published, frozen, protected, and can be followed down to the readings.

document.py  what an edition says, free of any form
"""
