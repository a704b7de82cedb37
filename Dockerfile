# The bundle holds every library that it needs, so only the build has packages.
# A tag moves. To build upon what was tested, name its digest, which the registry tells:
#   docker buildx imagetools inspect node:24-slim --format '{{.Manifest.Digest}}'
#   docker build --build-arg NODE_IMAGE=node:24-slim@sha256:... .
ARG NODE_IMAGE=node:24-slim
# What the program's files are laid upon: nothing, or an image of your own without a shell (distroless).
ARG BASE_IMAGE=scratch

FROM ${NODE_IMAGE} AS build
WORKDIR /build
COPY package.json package-lock.json tsconfig.json LICENSE ./
# esbuild, which makes the bundle, is whole without its install script. Node's fetches the version that package.json pins.
RUN npm ci --ignore-scripts --no-audit --no-fund && npm rebuild node
COPY scripts/build.ts scripts/
COPY scripts/image/ scripts/image/
COPY src/ src/
# Seconds since 1970: the time in the bill of materials.
ARG SOURCE_DATE_EPOCH=0
RUN node scripts/build.ts
# Node, the shared libraries that it loads and the bill of materials: no shell, no package manager.
RUN node scripts/image/root.ts root

FROM ${BASE_IMAGE}
COPY --from=build /build/root/ /
WORKDIR /keyferry
# It says that the bundle is an ES module. Without it Node parses the bundle twice to find out, which takes 10 MiB.
COPY package.json ./
COPY --from=build /build/dist/keyferry.js dist/
# The worker thread that assembles values whose cost is not known beforehand.
COPY --from=build /build/dist/keyferry-values.js dist/
# OpenTelemetry, which is loaded while traces are on.
COPY --from=build /build/dist/keyferry-otlp.js dist/
# mallopt(3). One arena: glibc gives each of Node's threads an arena, and none of them returns memory (20 MiB). Chunks from
# 32 KiB on, such as buffers of sockets, are mapped by themselves and unmapped one by one (6 MiB). Without these values glibc
# raises both thresholds at the first large chunk that is freed.
ENV NODE_ENV=production MALLOC_ARENA_MAX=1 MALLOC_MMAP_THRESHOLD_=32768 MALLOC_TRIM_THRESHOLD_=131072
# A number, since a kubelet can tell only of a number that it is not root.
USER 65532:65532
# --disable-sigusr1: no inspector, from the first moment on (src/cli/harden.ts closes it once it is loaded).
# --max-old-space-size-percentage: the heap ends at a share of the memory limit; buffers, TLS and code take the rest.
# --max-semi-space-size, --heap-growing-percent: a first sync makes much garbage. By V8's defaults it holds more of it.
# --initial-old-space-size: no full collection below 120 MB: V8 by itself would begin at a fraction of that.
# --max-opt=2: Maglev, and no TurboFan. A first sync takes as long on the operator's thread, with half of the processor time
# of its other threads and 6 MB less memory. YAML of hundreds of KiB takes twice as long.
# --expose-gc: an idle process collects once (src/runtime/idle-collection.ts).
# --no-wasm-tier-up, --no-wasm-dynamic-tiering: optimizing undici's HTTP parser takes 25 MB and gains nothing measurable.
# --no-parallel-scavenge: one thread collects so small a young generation with less processor time than several.
ENTRYPOINT ["node", "--disable-sigusr1", "--max-old-space-size-percentage=65", "--max-semi-space-size=16", "--heap-growing-percent=60", "--initial-old-space-size=120", "--max-opt=2", "--expose-gc", "--no-wasm-tier-up", "--no-wasm-dynamic-tiering", "--no-parallel-scavenge", "dist/keyferry.js"]
CMD ["controller"]
ARG VERSION=dev
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="keyferry" \
  org.opencontainers.image.description="Carries AWS Systems Manager parameters and KMS-encrypted blobs into Kubernetes Secrets and keeps them current" \
  org.opencontainers.image.licenses="Apache-2.0" \
  org.opencontainers.image.source="https://github.com/keyferry/keyferry" \
  org.opencontainers.image.documentation="https://github.com/keyferry/keyferry/tree/main/docs" \
  org.opencontainers.image.version="${VERSION}" \
  org.opencontainers.image.revision="${REVISION}" \
  org.opencontainers.image.created="${CREATED}"
