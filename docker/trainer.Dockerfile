# Runs on Vertex AI, on one GPU or none: model.train. CUDA comes with TensorFlow's wheels, the driver
# with the machine. The base is pinned by digest in docker/bases.env.
#checkov:skip=CKV_DOCKER_7:docker/build.sh takes no base but by digest; here it is an argument
ARG PYTHON_IMAGE

FROM ${PYTHON_IMAGE} AS build
WORKDIR /src
COPY constraints.txt setup.py pyproject.toml README.md ./
COPY pipelines pipelines
COPY model model
COPY scann_index scann_index
RUN pip install --no-cache-dir --prefix=/install --constraint constraints.txt . "tensorflow[and-cuda]"

FROM ${PYTHON_IMAGE}
COPY --from=build /install /usr/local
RUN pip check && useradd --create-home --uid 10001 babelear

# TensorFlow 2.16 does not find the wheels' libraries by itself.
ARG NVIDIA=/usr/local/lib/python3.11/site-packages/nvidia
ENV LD_LIBRARY_PATH=${NVIDIA}/cublas/lib:${NVIDIA}/cuda_cupti/lib:${NVIDIA}/cuda_nvrtc/lib:${NVIDIA}/cuda_runtime/lib:${NVIDIA}/cudnn/lib:${NVIDIA}/cufft/lib:${NVIDIA}/curand/lib:${NVIDIA}/cusolver/lib:${NVIDIA}/cusparse/lib:${NVIDIA}/nccl/lib:${NVIDIA}/nvjitlink/lib \
    PATH=${NVIDIA}/cuda_nvcc/bin:${PATH} \
    PYTHONUNBUFFERED=1

USER babelear
WORKDIR /home/babelear
HEALTHCHECK NONE
ENTRYPOINT ["python", "-m", "model.train"]
