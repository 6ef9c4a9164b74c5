"""The HTTP service: stores, utterances and their posteriors at any temperature, and the stores' raw objects.

from api import create_app

app = create_app({"demo": "runs/demo/store"})  # for any ASGI server, or to mount
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from api.app import create_app as create_app

__all__ = ["create_app"]


def __getattr__(name: str) -> Any:
    """Import FastAPI only when the service is asked for, so that ``softstore --help`` stays quick."""
    if name == "create_app":
        from api.app import create_app

        return create_app
    raise AttributeError(f"module 'api' has no attribute {name!r}")
