"""Adapters to the services that answer."""
