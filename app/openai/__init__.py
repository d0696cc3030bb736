"""The OpenAI wire format that we serve: types and pure functions, no I/O."""
