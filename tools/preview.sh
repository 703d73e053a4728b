#!/usr/bin/env bash
# What the overlays are like and what a merge would change, as Markdown; Checks shows it below a pull request.
#   tools/preview.sh [REF] (default: origin/main), to compare with; the text as a comment goes to .build/preview.md
# RUN, in the environment, is the address of what has all of it, where a comment cannot.
set -euo pipefail
unset CDPATH
cd "$(dirname "$0")/.."
comment=.build/preview.md
mkdir -p "${comment%/*}"
all=$(mktemp)
trap 'rm -f "$all"' EXIT

status=0
{
  echo "## The overlays"
  echo '```text'
  make --no-print-directory check || status=$?
  echo '```'
  echo "## What a merge changes"
  make --no-print-directory diff REF="${1:-origin/main}" OPTIONS=--markdown || status=$?
} > "$all"
cat "$all"

# GitHub takes 65,536 characters in a comment. One that is cut ends with a whole line, so with a whole character.
{
  echo "<!-- preview -->"
  if [ "$(wc --bytes < "$all")" -le 60000 ]; then
    cat "$all"
  else
    echo "This is the beginning; all of it is in the [summary of the run](${RUN:-})."
    head --bytes 60000 "$all" | sed '$d'
  fi
} > "$comment"
exit "$status"
