"""A hook of MkDocs: links to files beside the guides lead to the repository (DOCS_REPOSITORY), or are plain words."""

from __future__ import annotations

import re
from typing import Any

_OUT = re.compile(r"\[([^\]]+)\]\(\.\./([^)\s]+)\)")


def on_page_markdown(markdown: str, *, config: Any, **_: Any) -> str:
    """The page's text with such links changed."""
    repository = str(config.repo_url or "").rstrip("/")
    return _OUT.sub(rf"[\1]({repository}/blob/main/\2)" if repository else r"\1", markdown)
