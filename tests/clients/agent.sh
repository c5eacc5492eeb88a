# What the scripts of agents share; source it. Usage of a script: CLIENTS_INST=DIR X.sh BASE_URL [KEY]
# Environment: CLIENTS_INST (folder of install.sh), MODEL, EXPECT (text that must be printed), LIMIT (seconds), PROMPT,
# KEY, EXTRA_ARGS, EXTRA_ENV ("A=B C=D"), KEEP=1 to keep the agent's home and work folder.
inst=${CLIENTS_INST:?set CLIENTS_INST to the folder that install.sh filled}
base=${1%/}
key=${2:-${KEY:-sk-test-not-a-secret}}
[ -n "$base" ] || { echo "usage: $0 BASE_URL [KEY]" >&2; exit 2; }
expect=${EXPECT:-MOCK-FINAL-ANSWER-7319}
limit=${LIMIT:-60}
prompt=${PROMPT:-say hi}
top=$(mktemp -d)
home=$top/home
work=$top/work
out=$top/out
mkdir "$home" "$work"
echo "hello file" > "$work/hello.txt"
nodebin=$(dirname "$(command -v node)")
bin=$inst/agents/node_modules/.bin
[ -n "$KEEP" ] || trap 'rm -rf "$top"' EXIT

# run NAME=VALUE... COMMAND...: in a clean environment and the work folder, with a time limit and no input.
run() {
    cd "$work" || exit 1
    # shellcheck disable=SC2086 # EXTRA_ENV is a list of words
    env -i PATH="$nodebin:/usr/local/bin:/usr/bin:/bin" HOME="$home" TMPDIR="$top" TERM=dumb LANG=C.UTF-8 CI=1 \
        NO_COLOR=1 $EXTRA_ENV timeout -k 5 "$limit" env "$@" < /dev/null > "$out"
    rc=$?
    cat "$out"
}

finish() {
    grep -q -- "$expect" "$out" && [ "$rc" -eq 0 ] && exit 0
    echo "FAIL: exit code $rc, lines with the expected text: $(grep -c -- "$expect" "$out")" >&2
    exit 1
}
