"""Layers around the routes, all plain ASGI; `api.app` says in which order and why."""
