"""Version of the program: the one place that states it, for the server, the agent and the package alike."""

VERSION = "0.2.0"
