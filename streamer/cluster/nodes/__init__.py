"""The workers of a cluster: server processes, the actors that supervise them, and Ray."""
