#!/bin/bash
# Qwen Code through the chat dialect.
. "$(dirname "$0")/agent.sh"
mkdir -p "$home/.qwen"
cat > "$home/.qwen/settings.json" <<SETTINGS
{"security":{"auth":{"selectedType":"openai"}},"privacy":{"usageStatisticsEnabled":false},
 "general":{"disableAutoUpdate":true,"enableAutoUpdate":false}}
SETTINGS
run OPENAI_BASE_URL="$base/v1" OPENAI_API_KEY="$key" OPENAI_MODEL="${MODEL:-mock-model}" \
    "$bin/qwen" -p "$prompt" --yolo $EXTRA_ARGS
finish
