"""Attribution: measured energy divided over services and use cases, to the last microjoule.

Pure functions over arrays and frames: no clock, no disk, no environment. Times are integer
microseconds (UTC), energies integer microjoules.

rounding.py   integers that keep their sum
spans.py      samples of one device -> spans of time with their energy
idle.py       what the loaded device draws at rest
requests.py   the log of one service: who is in flight when
weights.py    model energy of requests: how shared energy is divided
split.py      the energy of one placement -> rows per window and use case
host.py       IT energy of a host, and whom the unplaced part follows
coverage.py   how much of the time was really read
shard.py      all of a placement group's day together, and the proof that it closes
"""
