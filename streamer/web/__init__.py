"""Building blocks of the web servers: listening sockets, access checks, rate limits, WebSocket protocols."""
