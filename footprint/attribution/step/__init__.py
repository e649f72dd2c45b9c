"""The step model: what each request took of a server that decodes many together, from its log and the meters.

A decode step costs a fixed amount, shared by whoever runs in it, and amounts per token; reading the input costs
an amount per token. When a request's tokens were produced is found from a clock common to all of them.

timing.py    the log of a service as arrays; first tokens, inferred where nobody logged them
clock.py     the step clock, and how many run when
features.py  what each request may be charged for, and the same by window
fitting.py   coefficients: non-negative least squares, chosen by cross-validation
model.py     one placement and day: fit, diagnostics, status, and the model energies of requests
counts.py    windows of counts, where no single request is known
day.py       one day laid in time: its requests, and windows of energy and features
lag.py       by how much the gateway's clock is off the host's
packing.py   what a day says as one line of text
"""
