"""Measurements of flagtrail: how fast it is, and what that costs."""
