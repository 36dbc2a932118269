"""Measure the cost of other talking faces' networks on this machine, layer by layer."""
