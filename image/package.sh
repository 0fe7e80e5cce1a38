#!/bin/sh
# Makes build/, what `npm pack` packs: JavaScript, since Node strips no types below node_modules. See docs/decisions/0020.
set -eu
rm -rf build
tsc --project tsconfig.package.json
# What the code reads beside itself.
cp package.json mirror.yaml build/
cp -R functions/transform/draft build/functions/transform/
cp local/sample/*.sql build/local/sample/
