"""Map from request paths to the pages' files in clients/web."""

from __future__ import annotations

from pathlib import Path

import clients

WEB = Path(clients.__file__).parent / "web"
SERVED = (".css", ".js", ".ogg", ".svg")
ASSETS: dict[str, str | Path] = {
    "/": "index.html",
    "/obs": "obs.html",
    **{f"/{path.relative_to(WEB).as_posix()}": path for path in sorted(WEB.rglob("*")) if path.suffix in SERVED},
}
