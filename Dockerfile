# One image for every function (FUNCTION_TARGET) and for the export (node dist/export/main.js).

# Node 24.21.0; the digest is the multi-platform index of that tag. To renew it: docker buildx imagetools inspect node:24-bookworm-slim
FROM node:24.21.0-bookworm-slim@sha256:0e0ff40c39bc087845bfb27465a0df4ea419520094bc35842ff83dd8cbe6f9b6 AS install
WORKDIR /app
COPY package.json package-lock.json ./
# The tests run in this stage too; whose install scripts may run is in package.json.
RUN npm ci --no-audit --no-fund

FROM install AS bundle
COPY functions functions
COPY image image
RUN node image/bundle.ts

FROM node:24.21.0-bookworm-slim@sha256:0e0ff40c39bc087845bfb27465a0df4ea419520094bc35842ff83dd8cbe6f9b6 AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
# Without the packaged Node for developers, an optional dependency; the native package of @node-rs/crc32 comes all the same.
RUN npm pkg delete devDependencies optionalDependencies && npm ci --omit=dev --ignore-scripts --no-audit --no-fund
# The bundle holds the one API that is used of googleapis' three hundred.
RUN rm -rf node_modules/googleapis

FROM node:24.21.0-bookworm-slim@sha256:0e0ff40c39bc087845bfb27465a0df4ea419520094bc35842ff83dd8cbe6f9b6
WORKDIR /app
ENV NODE_ENV=production
ENV NODE_OPTIONS=--enable-source-maps
COPY package.json mirror.yaml ./
COPY --from=dependencies /app/node_modules node_modules
COPY --from=bundle /app/dist dist
# Nothing under /app is this user's: the functions write no file.
USER node
CMD ["node", "node_modules/@google-cloud/functions-framework/build/src/main.js", "--source=dist/index.js"]
