# Build the virtual environment once; the image that runs holds it, git, what writes PDF, and nothing to build with.
FROM python:3.13-slim AS build
WORKDIR /src
RUN python -m venv /opt/inforce
COPY requirements.lock .
RUN /opt/inforce/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY guidance guidance
COPY schemas schemas
COPY service service
RUN /opt/inforce/bin/pip install --no-cache-dir --no-deps .

FROM python:3.13-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends git libharfbuzz-subset0 libpango-1.0-0 libpangoft2-1.0-0 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /nonexistent --shell /usr/sbin/nologin inforce \
    && install -d -o inforce -g inforce /data
COPY --from=build /opt/inforce /opt/inforce
ENV PATH=/opt/inforce/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    INFORCE_DATA=/data \
    INFORCE_HOST=0.0.0.0
USER 10001
VOLUME /data
EXPOSE 8000
# Only /data is written to: the root file system may be read-only (docker run --read-only --tmpfs /tmp).
# Building the index anew takes a while where the register is large: until it is done nobody listens yet.
HEALTHCHECK --interval=10s --timeout=5s --start-period=5m \
    CMD ["python", "-c", "import http.client as h, os; c = h.HTTPConnection('127.0.0.1', int(os.environ.get('INFORCE_PORT', 8000)), timeout=4); c.request('GET', '/healthz'); raise SystemExit(c.getresponse().status != 200)"]
CMD ["inforce", "serve", "--seed"]
