# The server on a processor: docker build -t avatar . && docker run --rm --network host -v avatar:/data avatar
# Sound and pictures take UDP ports of the machine's choice, hence the network of the host.
FROM debian:trixie-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends python3 python3-venv && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv /opt/avatar
COPY . /src
# The version, as the image has no Git: docker build --build-arg VERSION=1.2.3
ARG VERSION=0.1.0
RUN SETUPTOOLS_SCM_PRETEND_VERSION=${VERSION} /opt/avatar/bin/pip install --no-cache-dir '/src[c2pa]'
# Of no use here: pip, the packages' own tests, and what OpenVINO has for graphics processors and other kinds of model.
RUN /opt/avatar/bin/pip uninstall --yes pip && find /opt/avatar -depth -type d -name tests -exec rm -rf {} + \
    && find /opt/avatar/lib -path '*/openvino/libs/*' -regextype egrep \
    -regex '.*/(cache\.json|libopenvino_(intel_gpu|intel_npu|tensorflow|pytorch|paddle)_.*)' -delete

FROM debian:trixie-slim
RUN apt-get update && apt-get install -y --no-install-recommends python3 espeak-ng && rm -rf /var/lib/apt/lists/*
RUN useradd --system --uid 10001 --home-dir /data --create-home avatar
COPY --from=build /opt/avatar /opt/avatar
ENV PATH=/opt/avatar/bin:$PATH AVATAR_HOME=/data PYTHONDONTWRITEBYTECODE=1
# Faces, secrets and what was measured of the machine; all else may be read-only (docker run --read-only --tmpfs /tmp).
VOLUME /data
USER 10001
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s \
    CMD ["python3", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/healthz', timeout=4)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["avatar"]
CMD ["serve", "--host", "0.0.0.0"]
