# Two images of one source: `api`, which has no torch, and `worker`, which has. `docker compose build` makes both.
#
# Build arguments   PYTHON_IMAGE           the base; with a digest (python:3.11-slim-bookworm@sha256:...) it is always
#                                          the same one: docs/operating.md says how to pin it
#                   PIP_EXTRA_INDEX_URL    e.g. https://download.pytorch.org/whl/cpu for a torch without CUDA
#                   PIP_INDEX_URL, PIP_FIND_LINKS    as pip knows them
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

# Packages of others, made from pyproject.toml alone: a change of the source installs none of them again.
FROM ${PYTHON_IMAGE} AS packages
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ARG PIP_FIND_LINKS
ENV PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python3 -m venv /opt/fastmtl
WORKDIR /src
COPY pyproject.toml ./
RUN --mount=type=cache,target=/root/.cache/pip \
    touch README.md && /opt/fastmtl/bin/pip install '.[tracing]'

FROM packages AS packages-worker
RUN --mount=type=cache,target=/root/.cache/pip \
    /opt/fastmtl/bin/pip install '.[train]'

# What the API never opens: pip, and those parts of Arrow that speak with other machines or are for developers.
FROM packages AS packages-api
RUN cd /opt/fastmtl/lib/python3*/site-packages \
    && rm -rf pip pip-*.dist-info pyarrow/include pyarrow/src pyarrow/tests \
       pyarrow/*flight* pyarrow/libarrow_s3.* pyarrow/_s3fs.* \
    && find . -type d -name tests -prune -exec rm -rf {} + \
    && /opt/fastmtl/bin/python3 -c 'import pyarrow.compute, pyarrow.parquet'

# Ours, in a folder that is laid over the packages.
FROM packages AS source
COPY app app
COPY fastmtl fastmtl
COPY migrations migrations
COPY worker worker
RUN --mount=type=cache,target=/root/.cache/pip \
    /opt/fastmtl/bin/pip install --no-deps --ignore-installed --prefix /added .

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
USER fastmtl

FROM base AS api
COPY --from=packages-api /opt/fastmtl /opt/fastmtl
COPY --from=source /added /opt/fastmtl
# Inside a container the loopback address is nobody's: publishing the port decides who may come.
ENV FASTMTL_HOST=0.0.0.0
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python3", "-c", "import os, urllib.request as u; u.urlopen('http://127.0.0.1:' + os.environ.get('FASTMTL_PORT', '8000') + '/v1/ready', timeout=4)"]
CMD ["fastmtl", "serve"]

FROM base AS worker
COPY --from=packages-worker /opt/fastmtl /opt/fastmtl
COPY --from=source /added /opt/fastmtl
ENV HF_HOME=/var/lib/fastmtl/huggingface \
    OMP_WAIT_POLICY=passive
# A worker answers no port. One that dies ends its container; one that falls silent loses its step to another.
HEALTHCHECK NONE
CMD ["fastmtl", "worker"]
