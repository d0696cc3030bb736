"""The pure domain: finding the place of a request in a conversation. No HTTP, no SQL."""
