#!/bin/bash
# install.sh DIR [GROUP...]: installs the pinned clients of each GROUP/package.json from npm into DIR/GROUP, by the lock
# file where there is one (the agents' own packages pin what they bundle, and name platforms that no lock can resolve).
# Groups: sdk (the default), agents. Does nothing for a group that is there already. Afterwards: CLIENTS_INST=DIR
set -eu
here=$(cd "$(dirname "$0")" && pwd)
dir=$(mkdir -p "$1" && cd "$1" && pwd)
shift
[ $# -gt 0 ] || set -- sdk
PATH=$here/../../.deps/node/bin:$PATH
command -v npm > /dev/null || { echo "install.sh: npm is missing (apt-get install npm)" >&2; exit 1; }
for group; do
    [ -f "$here/$group/package.json" ] || { echo "install.sh: unknown group $group" >&2; exit 2; }
    files=("$here/$group"/package*.json)
    stamp=$(cat "${files[@]}" | cksum)
    [ "$(cat "$dir/$group/.done" 2> /dev/null)" = "$stamp" ] && continue
    echo "install.sh: $group"
    mkdir -p "$dir/$group"
    cp "${files[@]}" "$dir/$group/"
    how=install
    [ -f "$here/$group/package-lock.json" ] && how=ci
    (cd "$dir/$group" && npm $how --ignore-scripts --no-audit --no-fund --no-save --loglevel=error)
    # Two agents put their program in place by an install script, which npm runs only for some of its versions.
    for script in @anthropic-ai/claude-code/install.cjs opencode-ai/postinstall.mjs; do
        [ -f "$dir/$group/node_modules/$script" ] || continue
        (cd "$dir/$group/node_modules/${script%/*}" && node "${script##*/}")
    done
    echo "$stamp" > "$dir/$group/.done"
done
