#!/bin/sh
# Generates the Go client from proto/ into examples/go/gen. The plugins are those that go.mod pins.
set -eu
cd "$(dirname "$0")"
rm -rf gen
${BUF:-npx --yes @bufbuild/buf@1.75.0} generate ../../proto --path ../../proto/completiond
