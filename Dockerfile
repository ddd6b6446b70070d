# Builds a small image that runs the daemon as an ordinary user; the config and an SQLite database live in /data.
# It works with a read-only root file system and a /tmp. Extras: docker build --build-arg EXTRAS=otel,parquet .
FROM python:3.13-slim AS build
ARG EXTRAS=""
WORKDIR /src
COPY pyproject.toml README.md ./
COPY src ./src
COPY connectors ./connectors
RUN python -m venv /venv && /venv/bin/pip install --no-cache-dir ".${EXTRAS:+[$EXTRAS]}"

FROM python:3.13-slim
RUN useradd --uid 10001 --create-home --home-dir /data flagtrail
COPY --from=build /venv /venv
# Nothing is compiled at run time: pip has, and the file system may be read-only.
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 FLAGTRAIL_CONFIG=/data/flagtrail.toml
# By number, so that Kubernetes can see that it is not root.
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8421
# For the default port; a command that serves nothing is told so with --no-healthcheck.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
  CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8421/healthz', timeout=4)"]
# SIGTERM ends it within 5 seconds, well inside Docker's 10.
ENTRYPOINT ["flagtrail"]
CMD ["run"]
