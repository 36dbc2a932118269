"""Mutated requests at every door of a server: what a stranger's program sends by mistake or on purpose."""
