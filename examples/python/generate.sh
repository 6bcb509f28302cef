#!/bin/sh
# Generates the Python client from proto/ into examples/python/gen. Needs requirements.txt installed for $PYTHON.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
proto=$here/../../proto
rm -rf "$here/gen"
mkdir -p "$here/gen"
"${PYTHON:-python3}" -m grpc_tools.protoc -I "$proto" \
    --python_out="$here/gen" --pyi_out="$here/gen" --grpc_python_out="$here/gen" \
    "$proto"/completiond/v1/*.proto
