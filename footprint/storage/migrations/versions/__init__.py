"""Migrations, one file per schema version; a released one never changes."""
