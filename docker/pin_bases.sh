#!/usr/bin/env bash
# Prints the base images with their digests of today; run it once and commit what it writes:
#
#   docker/pin_bases.sh > docker/bases.env
#
# Needs docker with buildx, and the network. Python and Beam are those of constraints.txt.
set -euo pipefail

pin() {
  local digest
  digest=$(docker buildx imagetools inspect "$2" --format '{{.Manifest.Digest}}')
  echo "$1=${2%:*}@$digest  # $2"
}

beam=$(sed -n 's/^apache-beam==//p' "$(dirname "$0")/../constraints.txt")
pin PYTHON_IMAGE python:3.11-slim-bookworm
pin BEAM_IMAGE "apache/beam_python3.11_sdk:$beam"
pin LAUNCHER_IMAGE gcr.io/dataflow-templates-base/python311-template-launcher-base:latest
