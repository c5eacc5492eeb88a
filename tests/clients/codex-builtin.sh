#!/bin/bash
# Codex with its built-in provider `openai` pointed at the gateway: it dials a WebSocket first.
. "$(dirname "$0")/agent.sh"
mkdir -p "$home/.codex"
cat > "$home/.codex/config.toml" <<SETTINGS
model = "${MODEL:-gpt-5.1}"
openai_base_url = "$base/v1"
approval_policy = "never"
sandbox_mode = "danger-full-access"
$EXTRA_TOML
SETTINGS
run CODEX_API_KEY="$key" CODEX_HOME="$home/.codex" "$bin/codex" exec --skip-git-repo-check $EXTRA_ARGS "$prompt"
finish
