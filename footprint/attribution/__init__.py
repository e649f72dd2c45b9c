"""Attribution: measured energy divided over services and use cases, to the last microjoule.

Pure functions over arrays and frames: no clock, no disk, no environment. Times are integer microseconds since 1970 (UTC),
energies integer microjoules. The method is described in docs/explanation/method.md, section 3.

energy_intervals.py    samples of one device -> intervals with their energy
largest_remainder.py   integers that keep their sum
idle.py                idle power of a loaded device
request_log.py         requests of one service, and how many run when
token_weights.py       model energy of requests by declared token weights, the fall-back
step/                  model energy of requests by the step model, fitted on a site's own days
split.py               energy of one placement -> rows by window and use case
host_energy.py         energy of a host outside its accelerators
embodied.py            embodied emissions over the rows of a host
coverage.py            how much of the time each device was read
balance.py             whole-server meter against the sensors of the parts
shard.py               all of a placement group's day together, with the check that it closes
"""
