"""Parts of small web servers: listening, request guard, the speech socket."""
