"""Statistical disclosure control of tables: which cells are hidden so that no reader derives a confidential amount.

Pure arithmetic. Import from the modules: `primary_suppression` (rules that a cell meets or breaks by itself),
`secondary_suppression` (further cells that protect the hidden ones), `audit` (what a reader of all published tables can derive).
"""
