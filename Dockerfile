# Two images of one source: `api`, which has no torch, and `worker`, which has. `docker compose build` makes both.
#
# Build arguments   PYTHON_IMAGE           the base
#                   PIP_EXTRA_INDEX_URL    e.g. https://download.pytorch.org/whl/cpu for a torch without CUDA
ARG PYTHON_IMAGE=python:3.11-slim

# What is installed, in a virtual environment that the last stages copy. The packages come first, and from
# pyproject.toml alone: a change of the source does not install them again.
FROM ${PYTHON_IMAGE} AS build-api
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python3 -m venv /opt/fastmtl
WORKDIR /src
COPY pyproject.toml README.md ./
RUN /opt/fastmtl/bin/pip install '.[tracing]'
COPY app app
COPY fastmtl fastmtl
COPY migrations migrations
COPY worker worker
RUN /opt/fastmtl/bin/pip install --no-deps --force-reinstall .

FROM build-api AS build-worker
RUN /opt/fastmtl/bin/pip install '.[train]'

# What runs: nobody's account, and one folder that it may write to.
FROM ${PYTHON_IMAGE} AS base
RUN groupadd --gid 10001 fastmtl \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/fastmtl fastmtl \
    && install -d -o fastmtl -g fastmtl /var/lib/fastmtl
ENV PATH=/opt/fastmtl/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    FASTMTL_HOME=/var/lib/fastmtl
WORKDIR /var/lib/fastmtl
VOLUME /var/lib/fastmtl
USER fastmtl

FROM base AS api
COPY --from=build-api /opt/fastmtl /opt/fastmtl
# Inside a container the loopback address is nobody's: publishing the port decides who may come.
ENV FASTMTL_HOST=0.0.0.0
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python3", "-c", "import os, urllib.request as u; u.urlopen('http://127.0.0.1:' + os.environ.get('FASTMTL_PORT', '8000') + '/v1/ready', timeout=4)"]
CMD ["fastmtl", "serve"]

FROM base AS worker
COPY --from=build-worker /opt/fastmtl /opt/fastmtl
ENV HF_HOME=/var/lib/fastmtl/huggingface \
    OMP_WAIT_POLICY=passive
# A worker answers no port. One that dies ends its container; one that falls silent loses its step to another.
HEALTHCHECK NONE
CMD ["fastmtl", "worker"]
