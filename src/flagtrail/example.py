"""The config that `flagtrail init` writes; `config/flagtrail.example.toml` is the same text."""

EXAMPLE = """\
# flagtrail reads this file as ./flagtrail.toml, from --config FILE, or from $FLAGTRAIL_CONFIG.
# `flagtrail check` tells whether it works, and `flagtrail run` reads it again at SIGHUP. Secrets never stand in it:
# name an environment variable, a file or a program.

[store]
# A file beside this one, or a PostgreSQL server: "postgresql://host/name".
# With a password in it: url = { env = "FLAGTRAIL_STORE" }
url = "sqlite:///flagtrail.db"

# `flagtrail run` serves a page at http://127.0.0.1:8421, and the trail over HTTP; `flagtrail serve` does only that.
# [serve]
# enabled = false                          # `flagtrail run` does not serve
# listen = "127.0.0.1:8421"                # any address but a loopback one asks for a token: `flagtrail token create`
# hosts = ["trail.example.com"]            # names that it is called by, such as a reverse proxy's; then tokens, too
# tokens = true                            # ask for a token on a loopback address as well
# origins = ["https://tools.example.com"]  # web pages elsewhere that may read answers
# timeout = "30s"                          # for how long the database may work on one question
# live = 20                                # live connections at the same time
# public_url = "https://trail.example.com" # where people reach the page, for links in notices

# How `flagtrail run` watches over itself, and where it sends traces. docs/operations.md tells about health and metrics.
# [run]
# stuck = "15m"                            # without any sign of life for so long, a job of a source counts as stuck
# Several workers that share the work, with a store on PostgreSQL: `flagtrail worker`, docs/workers.md.
# [engine]
# kind = "procrastinate"                   # "threads" is the engine of one machine
# concurrency = 8                          # jobs at the same time in each worker
# stalled = "20s"                          # after so long without any sign of life a worker's jobs go to others
# [telemetry]
# endpoint = "http://127.0.0.1:4318"       # a collector of OpenTelemetry's, by OTLP over HTTP

# A table of Parquet files that any engine reads, kept up to date by `flagtrail lake` and `flagtrail run`; docs/lake.md.
# [lake]
# path = "lake"                            # a folder beside this file, or "s3://bucket/flagtrail"
# every = "15m"                            # how often `flagtrail run` brings it up to date
# compact = 16                             # small files of a month that are made into large ones
# vacuum = "7d"                            # for how long old files are left for whoever reads them still
# options = { aws_region = "eu-central-1" }  # what an object store needs; secrets as { env = "NAME" }

[[source]]
# The name is part of every event's id: choose it once.
name = "acme-launchdarkly"
connector = "launchdarkly"
token = { env = "LAUNCHDARKLY_TOKEN" }     # or { file = "/run/secrets/launchdarkly" }, or
                                           # { command = ["vault", "kv", "get", "-field=token", "secret/launchdarkly"] }
start = "2025-01-01"                       # a date, an instant, or a span back from now such as "90d"
every = "1m"                               # how often `flagtrail run` looks
# settle = "15m"                           # how late the vendor may show an entry
# parallel = 16                            # windows read at the same time, at most
# reserve = "20%"                          # share of the vendor's request limits left to your other tools
# retention = "30d"                        # how long the vendor keeps entries, on plans that limit it
# keep = "3y"                              # how long they are kept here: older ones are deleted, and never read again
# verify = false                           # leave out the comparison with the vendor's own numbers
# webhook_secret = { env = "LD_WEBHOOK" }  # with [serve]: LaunchDarkly's webhooks to /webhooks/acme-launchdarkly
# base_url = "https://app.eu.launchdarkly.com"
# flag_events = ["default/production"]     # true: every environment; false: none
# details = "flags"                        # before and after of each change, one request each: "flags", "all", "off"
# only = ["proj/payments:env/*:flag/*"]    # only this part of the audit log

[[source]]
name = "acme-configcat"
connector = "configcat"
username = { env = "CONFIGCAT_USER" }
password = { env = "CONFIGCAT_PASS" }
start = "365d"
every = "5m"
# retention = "35d"                        # by plan: Free 7d, Pro and Smart 35d, Enterprise 750d
# organizations = ["00000000-0000-0000-0000-000000000000"]

# The same e-mail address is the same person at every vendor. Say here what else is theirs: each of these then finds
# all of their changes.
# [[person]]
# email = "ana.silva@acme.example"
# name = "Ana Silva"                       # how they are shown
# also = ["ana@old.example", "asilva"]     # other addresses, ids and names, at any vendor

# Tell people and programs of changes as they are stored. `flagtrail notices test production` tries it; docs/notices.md
# has every setting, and of every kind of sink.
# [[sink]]
# name = "on-call"
# kind = "slack"                           # or "webhook", "grafana", "email", "apprise"
# url = { env = "SLACK_WEBHOOK" }
# [[notice]]
# name = "production"
# to = "on-call"                           # or several: ["on-call", "audit"]
# when = "environment:production"          # a query; every change without it
# about = ["changes", "gap", "refused"]    # also what goes wrong with the trail itself; "retention" too
# group = "10s"                            # changes within this time are one message
# quiet = "22:00-07:00"                    # nothing is sent then, and all of it together afterwards
# zone = "Europe/Berlin"                   # of these hours
# older = "1d"                             # what was older than this when it was stored is not told
"""
