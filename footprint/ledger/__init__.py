"""The ledger: what was measured, append-only. It keeps samples; differences are taken in attribution.

columns.py   text or typed columns -> integers, with a reason for each value that cannot be right
files.py     CSV, JSON Lines and Parquet, plain or gzip -> blocks of columns, in bounded memory
energy.py    blocks -> readings        requests.py  blocks -> requests        users.py  blocks -> distinct users
accept.py    readings and requests -> the store: identity, duplicates, conflicts, one commit
batches.py   what was imported, and taking it back
reading.py   what the ledger holds of a time, for attribution
rejects.py   lines that were refused: where and why, never what they said of people
"""
