"""Split and rewrite the official networks into the graphs to export."""
