# ratio-hpo with the CPU build of PyTorch (about 200 MB instead of 2.7 GB for CUDA):
#   docker build --build-arg TORCH_INDEX=<address of PyTorch's CPU index> -t ratio-hpo .
#   docker run --rm -v "$PWD/mlruns:/data/mlruns" ratio-hpo search --space default
#   docker run --rm -v "$PWD/mlruns:/data/mlruns" -p 5000:5000 ratio-hpo ui --host 0.0.0.0 --no-browser
FROM python:3.11-slim
ARG TORCH_INDEX
WORKDIR /opt/ratio-hpo
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY ratio_hpo ratio_hpo
COPY search_spaces search_spaces
COPY experiments experiments
RUN test -n "$TORCH_INDEX" || { echo "needs --build-arg TORCH_INDEX=<address of PyTorch's CPU index>" >&2; exit 1; } \
    && pip install --no-cache-dir -c constraints.txt --extra-index-url "$TORCH_INDEX" '.[minilm,postgres,s3]' \
    && useradd --create-home --uid 1000 ratio && mkdir /data && chown ratio /data
USER ratio
WORKDIR /data
ENTRYPOINT ["ratio-hpo"]
CMD ["--help"]
