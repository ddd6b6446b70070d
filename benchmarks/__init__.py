"""Benchmarks: how fast flagtrail loads beside other ways, where its time goes, and how much memory it takes."""
