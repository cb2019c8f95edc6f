# The image of the server; docs/operation.md says how to run it. The bases are pinned by digest, because a tag may be
# another image tomorrow: to update one, change its tag and its digest together.
ARG RUST=docker.io/library/rust:1.95.0-slim-bookworm@sha256:d7482085ff5b415f84dba5647ae71606650bdef00db7aeb69f4b3d170c3e4082
ARG BASE=gcr.io/distroless/cc-debian12:nonroot@sha256:9dac0a79194e45a7da0158a9c6da57b217585af0786db3845d1f0ec1a0dd182f
# An image that has the program already, instead of the stage that builds it.
ARG PROGRAM=build

FROM ${RUST} AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked --package todo-api && mkdir data

FROM ${PROGRAM} AS program

FROM ${BASE}
LABEL org.opencontainers.image.title="todo-api" \
      org.opencontainers.image.description="A multi-user task API: OpenAPI first, on SQLite or PostgreSQL" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
COPY --from=program /src/target/release/todo-api /usr/bin/todo-api
# A new volume takes its owner from here.
COPY --from=program --chown=65532:65532 /src/data /data
WORKDIR /data
ENV HOST=0.0.0.0 PORT=8000 DATABASE_URL=sqlite:///data/todo.db?mode=rwc
USER 65532:65532
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s CMD ["/usr/bin/todo-api", "health"]
ENTRYPOINT ["/usr/bin/todo-api"]
CMD ["serve"]
