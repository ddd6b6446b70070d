# Builds a small image that runs the daemon as an ordinary user; the config and the database live in /data.
FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml README.md ./
COPY src ./src
COPY connectors ./connectors
RUN python -m venv /venv && /venv/bin/pip install --no-cache-dir .

FROM python:3.13-slim
RUN useradd --uid 10001 --create-home --home-dir /data flagtrail
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 FLAGTRAIL_CONFIG=/data/flagtrail.toml
USER flagtrail
WORKDIR /data
VOLUME /data
# SIGTERM ends it within 5 seconds, well inside Docker's 10.
ENTRYPOINT ["flagtrail"]
CMD ["run"]
