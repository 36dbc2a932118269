"""One conversation without I/O: timeline, schedule, playout, pushed speech."""
