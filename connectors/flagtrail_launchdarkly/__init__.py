"""Reads LaunchDarkly."""
