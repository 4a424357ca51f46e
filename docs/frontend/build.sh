#!/bin/sh
# Builds service/static/inforce.css from main.scss, in a temporary folder.
#   sh docs/frontend/build.sh            writes the stylesheet
#   sh docs/frontend/build.sh --check    fails when the committed one is not what would be built
set -eu

here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
static="$here/../../service/static"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM

cp "$here"/package.json "$here"/package-lock.json "$here"/*.scss "$work"/
cd "$work"
npm ci --omit=optional --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null
node_modules/.bin/sass --style=compressed --no-source-map --no-charset --quiet-deps \
  --load-path=node_modules main.scss inforce.css

# The page's policy allows this host alone, and nothing inline: the stylesheet fetches nothing.
if grep -Eio 'url\([^)]*\)|@import[^;]*|@font-face|GDS Transport' inforce.css; then
  echo "inforce.css must not fetch anything, nor name that font (above)" >&2
  exit 1
fi
raw=$(wc -c <inforce.css)
packed=$(gzip -9 -n -c inforce.css | wc -c)
if [ "$raw" -gt 140000 ]; then
  echo "inforce.css has $raw bytes; the limit is 140000" >&2
  exit 1
fi

if [ "${1:-}" = "--check" ]; then
  cmp inforce.css "$static/inforce.css"
  echo "inforce.css is up to date: $raw bytes, $packed gzipped"
else
  cp inforce.css "$static/inforce.css"
  echo "inforce.css written: $raw bytes, $packed gzipped"
fi
