"""The HTTP surface: routes, middleware and handlers."""
