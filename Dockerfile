# The API (docs/api.md) from the wheel that `make dist` has built and tried:
#
#     make dist
#     docker build -t espressivo .
#     docker run --read-only --tmpfs /tmp -p 127.0.0.1:8766:8766 \
#         -e ESPRESSIVO_TOKEN="$(openssl rand -hex 32)" espressivo
#
# Both models are inside; the container reaches no network, and writes to /tmp only.
ARG BASE=python:3.13-slim-bookworm

FROM ${BASE} AS build
COPY constraints.txt dist/espressivo-*.whl /build/
RUN python3 -m venv /opt/espressivo \
    && wheel=$(ls /build/espressivo-*.whl) \
    && /opt/espressivo/bin/pip install --no-cache-dir --disable-pip-version-check \
        --constraint /build/constraints.txt "${wheel}[serve]" \
    && /opt/espressivo/bin/pip uninstall --yes pip

FROM ${BASE}
COPY --from=build /opt/espressivo /opt/espressivo
ENV PATH=/opt/espressivo/bin:${PATH} PYTHONUNBUFFERED=1
USER 10001:10001
EXPOSE 8766
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s CMD [ \
    "python3", "-c", \
    "import urllib.request as r; r.urlopen('http://127.0.0.1:8766/health', timeout=4)"]
# Every address of the container, which needs a token: ESPRESSIVO_TOKEN or --token-file.
ENTRYPOINT ["espressivo", "api", "--host", "0.0.0.0"]
