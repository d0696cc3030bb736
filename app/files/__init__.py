"""Files on this machine's disk, and files at addresses that clients name."""
