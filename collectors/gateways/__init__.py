"""This package holds what runs inside gateways: files that are copied there, each alone."""
