#!/bin/bash
# Codex configured by flags alone, as a launcher does it.
. "$(dirname "$0")/agent.sh"
mkdir -p "$home/.codex"
run GW_KEY="$key" CODEX_HOME="$home/.codex" "$bin/codex" exec --skip-git-repo-check -s danger-full-access -m "${MODEL:-gpt-5.1}" \
    -c model_provider=gw -c model_providers.gw.name=Gateway -c model_providers.gw.base_url="$base/v1" \
    -c model_providers.gw.env_key=GW_KEY -c model_providers.gw.wire_api=responses $EXTRA_ARGS "$prompt"
finish
