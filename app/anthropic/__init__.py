"""Anthropic's wire format, the Messages API: types and functions, no I/O."""
