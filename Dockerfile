# The bundle holds every library that it needs, so only the build has packages.
# A tag moves. To build upon what was tested, name its digest, which the registry tells:
#   docker buildx imagetools inspect node:24-slim --format '{{.Manifest.Digest}}'
#   docker build --build-arg NODE_IMAGE=node:24-slim@sha256:... .
ARG NODE_IMAGE=node:24-slim

FROM ${NODE_IMAGE} AS build
WORKDIR /build
COPY package.json package-lock.json tsconfig.json ./
# esbuild, which makes the bundle, is whole without its install script.
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY scripts/build.ts scripts/
COPY src/ src/
RUN node scripts/build.ts

FROM ${NODE_IMAGE}
WORKDIR /keyferry
# It says that the bundle is an ES module. Without it Node parses the bundle twice to find out, which takes 10 MiB.
COPY package.json ./
COPY --from=build /build/dist/keyferry.js dist/
# The worker thread that assembles values whose cost is not known beforehand.
COPY --from=build /build/dist/keyferry-values.js dist/
# How malloc holds memory: src/cli/malloc.ts says why.
ENV MALLOC_ARENA_MAX=1 MALLOC_MMAP_THRESHOLD_=32768 MALLOC_TRIM_THRESHOLD_=131072
# The heap ends at a share of the memory limit, whatever that is; the rest is for buffers, TLS and code. Why its young
# generation ends where it does, and what all of it grows by: src/cli/memory.ts.
ENV NODE_ENV=production NODE_OPTIONS="--disable-sigusr1 --max-old-space-size-percentage=65 --max-semi-space-size=8"
# --disable-sigusr1: src/cli/harden.ts does the same, from the moment on at which it is loaded.
# A number, since a kubelet can tell only of a number that it is not root.
USER 65532:65532
ENTRYPOINT ["node", "dist/keyferry.js"]
CMD ["controller"]
