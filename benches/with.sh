#!/usr/bin/env bash
# with.sh TOOL... -- COMMAND...: runs the command with the tools that the benchmark knows by variables: litellm, portkey, ghz.
# Each is installed once, by version, into COMPLETIOND_TOOLS; nothing else of the system changes.
set -euo pipefail

. "$(dirname "${BASH_SOURCE[0]}")/../.ci/tools.sh"

while [ $# -gt 0 ] && [ "$1" != -- ]; do
    case $1 in
        litellm)
            tool_litellm
            export LITELLM=$TOOLS/litellm-$LITELLM_VERSION/bin/litellm
            ;;
        portkey) tool_portkey ;;
        ghz) tool_ghz ;;
        *)
            echo "with.sh: no tool $1; there are litellm, portkey and ghz" >&2
            exit 2
            ;;
    esac
    shift
done
[ $# -gt 1 ] || {
    echo "with.sh: no command; usage: with.sh TOOL... -- COMMAND..." >&2
    exit 2
}
shift
exec "$@"
