"""Attribution: measured energy divided over services and use cases, to the last microjoule.

Pure functions over arrays and frames: no clock, no disk, no environment. Times are integer
microseconds (UTC), energies integer microjoules.

rounding.py   integers that keep their sum
spans.py      samples of one device -> spans of time with their energy
idle.py       what the loaded device draws at rest
requests.py   the log of one service: who is in flight when
weights.py    model energy of requests: the declared fall-back
step/         model energy of requests: the step model, fitted on a site's own days
split.py      the energy of one placement -> rows per window and use case
host.py       IT energy of a host, and whom the unplaced part follows
coverage.py   how much of the time was really read
balance.py    a whole-server meter against the sensors of the parts
shard.py      all of a placement group's day together, and the proof that it closes
frames.py     the same for a notebook: frames in, a frame of rows out
"""
