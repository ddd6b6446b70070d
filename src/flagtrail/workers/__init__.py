"""The engine of many machines: workers share jobs through Procrastinate, in a PostgreSQL schema that holds no truth."""
