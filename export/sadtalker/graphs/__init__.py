"""The official networks cut and rewritten into the graphs that are exported."""
