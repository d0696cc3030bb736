"""Measurements of speed and size: `python3 run.py bench`."""
