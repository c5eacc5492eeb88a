#!/bin/bash
# opencode through the dialect of its provider package NPM: chat (default), @ai-sdk/openai (Responses), @ai-sdk/anthropic.
. "$(dirname "$0")/agent.sh"
model=${MODEL:-mock-model}
cat > "$work/opencode.json" <<SETTINGS
{"\$schema": "https://opencode.ai/config.json",
 "provider": {"gw": {"npm": "${NPM:-@ai-sdk/openai-compatible}", "name": "Gateway",
   "options": {"baseURL": "$base/v1", "apiKey": "$key"}, "models": {"$model": {"name": "Mock"}}}},
 "model": "gw/$model", "small_model": "gw/$model", "autoupdate": false, "share": "disabled"}
SETTINGS
run OPENCODE_DISABLE_AUTOUPDATE=1 OPENCODE_DISABLE_MODELS_FETCH=1 "$bin/opencode" run "$prompt" $EXTRA_ARGS
finish
