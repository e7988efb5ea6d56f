#!/usr/bin/env bash
# Builds and pushes one image: docker/build.sh worker|trainer|server REGISTRY TAG
#
# Cloud Build runs it for all three (cloudbuild.yaml). The base images come, by digest, from
# docker/bases.env, which docker/pin_bases.sh writes.
set -euo pipefail
cd "$(dirname "$0")/.."

image=${1:?worker, trainer or server}
name=${2:?a registry}/$image:${3:?a tag}
bases=${BASES:-docker/bases.env}

if [[ ! -f $bases ]]; then
  echo "$bases is missing: docker/pin_bases.sh > docker/bases.env" >&2
  exit 1
fi
arguments=()
while read -r base _; do
  if [[ ! $base =~ ^[A-Z_]+=[^@]+@sha256:[0-9a-f]{64}$ ]]; then
    echo "$bases: $base names no digest; write it again by docker/pin_bases.sh" >&2
    exit 1
  fi
  arguments+=(--build-arg "$base")
done < <(grep -v '^#' "$bases")

docker build "${arguments[@]}" --file "docker/$image.Dockerfile" --tag "$name" .
docker push "$name"
