# syntax=docker/dockerfile:1.10
# The image of the server: one binary, the certificates of public authorities, no shell. docs/release.md says how it is built.

# The tools, by tag; a digest ("@sha256:...") in the second argument pins the bytes as well.
ARG RUST_TAG=1.95.0-bookworm
ARG RUST_DIGEST=
# glibc, as the tests have it, and what it needs.
ARG BASE_TAG=nonroot
ARG BASE_DIGEST=

FROM docker.io/library/rust:${RUST_TAG}${RUST_DIGEST} AS build
WORKDIR /src
# Only what the binary is made of, so that nothing else changes it or spoils the cache. `.cargo` has the allocator's settings.
COPY .cargo .cargo
COPY Cargo.toml Cargo.lock build.rs ./
COPY proto proto
COPY data data
COPY src src
# The seconds since 1970 of the commit: nothing in the binary tells when or where it was built.
ARG SOURCE_DATE_EPOCH=0
ENV SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH} \
    CARGO_INCREMENTAL=0 \
    RUSTFLAGS="--remap-path-prefix=/src=completiond --remap-path-prefix=/usr/local/cargo=cargo" \
    CFLAGS="-ffile-prefix-map=/src=completiond -ffile-prefix-map=/usr/local/cargo=cargo"
# Guided by a profile: docs/adr/0035-guided-by-a-profile.md.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/src/target,sharing=locked \
    mkdir -p target && machine="$(rustc -vV | sed -n 's/^host: //p')" \
    && flags="$(data/guided/flags "$PWD/target")" && export RUSTFLAGS="$RUSTFLAGS $flags" \
    && cargo build --locked --release --target "$machine" --bin completiond \
    && install -D -m 0755 "target/$machine/release/completiond" /out/completiond \
    && /out/completiond --version

FROM gcr.io/distroless/cc-debian12:${BASE_TAG}${BASE_DIGEST}
ARG VERSION=0.0.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="completiond" \
      org.opencontainers.image.description="One gRPC service in front of every language model provider" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY LICENSE /usr/share/doc/completiond/LICENSE
COPY --from=build /out/completiond /usr/local/bin/completiond
# A number, because Kubernetes' runAsNonRoot does not look names up. The chart's pods have the same.
USER 65532:65532
# Callers, operators, probes. What is open beyond the container is the configuration's matter.
EXPOSE 50051 50052 50053
# No HEALTHCHECK: Kubernetes probes by gRPC, and there is no shell to run one.
ENTRYPOINT ["/usr/local/bin/completiond"]
CMD ["serve"]
