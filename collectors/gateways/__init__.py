"""Callbacks that run inside gateways; each module is self-contained, to be copied there."""
