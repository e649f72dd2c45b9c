"""Step model: model energy of each request on a server that decodes many at once, from its log and the meters.

A decode step costs a fixed amount, shared by the requests that run in it, and an amount per token; prefill costs an amount per
input token. A clock common to all requests tells when each one's tokens were produced. The method is described in
docs/explanation/method.md, section 3.

request_timing.py   requests of a log as arrays; prefill and decode times, inferred where nobody logged them
decode_clock.py     the common decode clock, and how many requests run when
features.py         features of each request, and the same by window
count_windows.py    windows of counts, where no single request is known
day_statistics.py   one day of a placement: timed requests, and windows of energy and features
clock_offset.py     offset between the gateway's clock and the host's
regression.py       coefficients: non-negative least squares, chosen by cross-validation
model.py            fit of a placement, its diagnosis, and the model energies of requests
serialization.py    statistics of a day as one line of text
"""
