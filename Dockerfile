# segtween on a processor. `docker build -t segtween .`, then in any folder that you may write to:
#   docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/work" segtween                          the demo, into demo/
#   docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/work" segtween run drive.mp4 -o out     your video
FROM python:3.11-slim AS wheel
WORKDIR /source
COPY . .
RUN python -m pip wheel --no-deps --wheel-dir /wheel .

FROM python:3.11-slim
COPY --from=wheel /wheel /wheel
COPY constraints.txt /wheel/
RUN python -m pip install --no-cache-dir --constraint /wheel/constraints.txt /wheel/*.whl
# The loops are compiled once, into the image; what is kept from one run to the next is anyone's.
RUN python -m segtween.demo.kernels
ENV SEGTWEEN_CACHE=/tmp/segtween
RUN useradd --create-home segtween
USER segtween
WORKDIR /work
ENTRYPOINT ["segtween"]
CMD ["demo", "--out", "demo"]
