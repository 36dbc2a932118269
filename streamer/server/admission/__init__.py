"""Who may have a session: places, quotas, measured capacity, the waiting line."""
