#!/bin/bash
# Codex through the Responses dialect, by a provider in its configuration file.
. "$(dirname "$0")/agent.sh"
mkdir -p "$home/.codex"
cat > "$home/.codex/config.toml" <<SETTINGS
model = "${MODEL:-gpt-5.1}"
model_provider = "gw"
approval_policy = "never"
sandbox_mode = "danger-full-access"
$EXTRA_TOML
[model_providers.gw]
name = "Gateway"
base_url = "$base/v1"
wire_api = "responses"
env_key = "GW_KEY"
$EXTRA_PROVIDER
SETTINGS
run GW_KEY="$key" CODEX_HOME="$home/.codex" "$bin/codex" exec --skip-git-repo-check $EXTRA_ARGS "$prompt"
finish
