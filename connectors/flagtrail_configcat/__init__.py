"""Reads ConfigCat."""
