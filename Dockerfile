FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
# The caches stay on the building machine: a second build compiles what has changed.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked \
    && install -D --mode=0755 target/release/lead-intake /out/lead-intake

FROM debian:bookworm-slim
RUN groupadd --gid 10001 lead-intake \
    && useradd --uid 10001 --gid 10001 --home-dir /data --no-create-home --shell /usr/sbin/nologin lead-intake \
    && install --directory --mode=0700 --owner=10001 --group=10001 /data
COPY --from=build /out/lead-intake /usr/local/bin/lead-intake
# By number, so that a platform that demands a user other than root can see that it is one.
USER 10001:10001
ENV LEAD_INTAKE_DATA_DIR=/data
# The key ring, the mirror and, without PostgreSQL, the leads.
VOLUME ["/data"]
WORKDIR /data
EXPOSE 50051
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 CMD ["lead-intake", "healthcheck"]
ENTRYPOINT ["lead-intake"]
CMD ["serve"]
