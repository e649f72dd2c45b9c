"""The ledger: what was measured, append-only. It keeps samples; differences are taken in attribution.

files.py      CSV, JSON Lines and Parquet, plain or gzip -> blocks of columns, in bounded memory
              (blocks.py, lines.py, csv_lines.py, torn.py, json_lines.py, parquet.py: one format or step each)
columns.py    text or typed columns -> integers, with a reason for each value that cannot be right
energy.py     blocks -> readings
requests.py   blocks -> requests
users.py      blocks -> distinct users of publication cells
accept.py     readings -> the store: identity, duplicates, conflicts; accept_requests.py the same for requests
streams.py    the numbers of series of readings; days.py: days that change are versioned
importing.py  a file, block by block; shipping.py and wire.py: what agents and gateways send
batches.py    what was imported, and taking it back
reading.py    what the ledger holds of a time, for attribution, wherever a day lies
sealing.py    closed days -> Parquet files with a hash chain (segments.py: rows <-> bytes; vault.py: the folder or object storage)
retired.py    days that left SQL, read from their files; retired_batches.py: taking back what stands in them
verifier.py   checks a sealed folder with the standard library alone; signing.py: minisign
retention.py  of every table what, why and for how long; erasing. backup.py: the whole store in one file
factors.py, intensity.py, sources/: the factor book and series that were imported or fetched; codecarbon.py: its jobs
rejects.py    lines that were refused: where and why, never what they said of people
"""
