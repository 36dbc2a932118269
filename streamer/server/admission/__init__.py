"""Session admission: places, quotas, measured capacity, the waiting line."""
