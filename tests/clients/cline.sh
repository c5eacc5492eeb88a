#!/bin/bash
# Cline through the chat dialect.
. "$(dirname "$0")/agent.sh"
env -i PATH="$nodebin:/usr/bin:/bin" HOME="$home" CLINE_TELEMETRY_DISABLED=1 POSTHOG_TELEMETRY_ENABLED=false \
    timeout 30 "$bin/cline" auth -p "${PROVIDER:-openai-compatible}" -k "$key" -m "${MODEL:-mock-model}" -b "$base/v1" < /dev/null >&2
run CLINE_TELEMETRY_DISABLED=1 POSTHOG_TELEMETRY_ENABLED=false "$bin/cline" "$prompt" $EXTRA_ARGS
finish
