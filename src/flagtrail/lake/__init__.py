"""The lake: a partitioned table of Parquet files, which many engines read, kept up to date from the database.

It is a Delta Lake table, so that each write of it is seen whole or not at all, whatever dies in the middle.
"""
