"""Scaling beyond one machine: gateways, workers (each a complete server), and Ray, which places the workers."""
