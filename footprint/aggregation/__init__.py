"""Aggregation: rows of energy and counts of requests from the ledger, by host or service and UTC day.

device_energy.py      samples of a host's day -> energy intervals by device, and CPU time by process group
request_logs.py       requests of a service around a day -> the log that attribution takes
odd_requests.py       bounds of what a request may bear that is far from the others of its service
log_quality.py        what was found in the log of a service on a day
idle_power.py         idle power of a placed device, learnt from 28 days
bounded_cache.py      cache of the values used last, bounded by their size
fleet.py              hosts of a run, which of them share a service, and versions of what they read
step_fits.py          step model of each service on all its hosts, fitted on 28 days
basis_lookup.py       facts and factors behind a figure
host_day.py           all of these together: the rows of one host on one day
service_day.py        requests and tokens of one service on one day
executors.py          this process, local processes or a Dask cluster
result_tables.py      a computed host day -> packed columns
result_writer.py      packed columns -> the store, replaced whole with what they were computed from
wall_balance.py       whole-server meters against the sensors of the parts
aggregate.py          which days are missing or outdated: what `footprint aggregate` does

Any sequence of runs over one ledger ends in the same rows, because a row depends only on the ledger, the configuration, the
factor book and the method.
"""

METHOD_VERSION = "3.0"
METHOD_REVISION = 4  # of changes of figures before the release of this version; enters fingerprints, never a figure
