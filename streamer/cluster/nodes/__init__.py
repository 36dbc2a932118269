"""The workers of a cluster: server processes, the actors that keep them, and Ray."""
