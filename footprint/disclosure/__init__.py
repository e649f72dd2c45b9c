"""Statistical disclosure control: which cells may be shown so that nobody derives those that may not. Pure arithmetic.

Import from the modules: `primary_suppression` (cells that a rule hides by themselves), `secondary_suppression` (what protects
them), `audit` (what a reader of everything published can still derive).
"""
