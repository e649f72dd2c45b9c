"""Aggregation: from the ledger to rows of energy and counts of requests, one host or one service and one UTC day at a time.

placing.py      which service holds which device when, places resolved to identities
devices.py      the samples of a host's day -> spans by device, and CPU time by group
logs.py         the requests of a service around a day -> the log that attribution takes
learning.py     what 28 days say of the idle power of a placed device
fits.py         what 28 days say of what requests cost: the step model of each service on a host
basis.py        the facts and factors behind a row
hostday.py      all of that together: the rows of one host on one day
serviceday.py   requests and tokens of one service on one day
storing.py      rows -> the store, replaced whole with what they were computed from
running.py      which days are not done, or were done from something else: what ``footprint aggregate`` does

Any sequence of runs over one ledger ends in the same rows, for a row depends on the ledger, the
configuration, the factor book and the method, and on nothing else.
"""

METHOD_VERSION = "2.0"
