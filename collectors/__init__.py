"""The agent: runs beside the GPUs with the standard library and ``nvidia-ml-py``, and ships what it reads.

base.py       what a sensor says at an instant, and the one-method contract of a collector
registry.py   the explicit list of collectors
nvml.py rapl.py tdp.py   one source of energy each      proc.py  CPU time of process groups
metering.py   pure: samples -> corrected cumulative counters (wrap, reset, gap, trapezoid)
spool.py      records on disk before they count          ship.py  to the server, deleted only when answered for
config.py     the [agent] section      run.py  the loop      metrics.py  what the agent says of itself
"""
