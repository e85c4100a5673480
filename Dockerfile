# One image for every process: `windlass serve | api | worker | migrate up`.

# Node and the build backend, at the versions that a checkout uses.
FROM python:3.13-slim-trixie AS tools
WORKDIR /src
COPY requirements-build.lock ./
RUN pip install --no-cache-dir --require-hashes -r requirements-build.lock

FROM tools AS web
COPY web/package.json web/package-lock.json web/.npmrc web/
RUN npm --prefix web ci --no-audit --no-fund
COPY web web
RUN npm --prefix web run build

FROM tools AS wheel
COPY pyproject.toml hatch_build.py LICENSE ./
COPY internal internal
COPY windlass windlass
COPY migrations migrations
COPY --from=web /src/web/dist web/dist
RUN python -m hatchling build --target wheel

FROM python:3.13-slim-trixie AS packages
WORKDIR /src
RUN python -m venv /opt/windlass
ENV PATH=/opt/windlass/bin:$PATH
COPY requirements.lock ./
RUN pip install --no-cache-dir --require-hashes -r requirements.lock
COPY --from=wheel /src/dist /dist
RUN pip install --no-cache-dir --no-deps /dist/*.whl

FROM python:3.13-slim-trixie
RUN useradd --system --uid 10001 windlass && install --directory --owner=windlass --mode=700 /data
COPY --from=packages /opt/windlass /opt/windlass
ENV PATH=/opt/windlass/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    HOST=0.0.0.0 \
    WINDLASS_DATA_DIR=/data
USER 10001
WORKDIR /data
# Holds the embedded PostgreSQL of `serve`; the other commands leave it empty.
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s CMD ["python", "-c", \
    "import os, urllib.request as r; r.urlopen(f'http://127.0.0.1:{os.environ.get(\"PORT\", 8080)}/health', timeout=2)"]
ENTRYPOINT ["windlass"]
CMD ["serve"]
