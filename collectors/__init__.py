"""Measurement agent: reads energy sensors and process usage of a host, and ships the records to the server.

It needs only the standard library and ``nvidia-ml-py``. One module reads one external source; ``registry`` lists
the collectors, ``main_loop`` runs them.
"""
