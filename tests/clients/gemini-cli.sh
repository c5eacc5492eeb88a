#!/bin/bash
# Gemini CLI through the Gemini dialect.
. "$(dirname "$0")/agent.sh"
mkdir -p "$home/.gemini"
cat > "$home/.gemini/settings.json" <<SETTINGS
{"security":{"auth":{"selectedType":"gemini-api-key"}},"privacy":{"usageStatisticsEnabled":false},"general":{"disableAutoUpdate":true}}
SETTINGS
run GOOGLE_GEMINI_BASE_URL="$base" GEMINI_API_KEY="$key" GEMINI_MODEL="${MODEL:-gemini-2.5-pro}" GEMINI_CLI_TRUST_WORKSPACE=true \
    "$bin/gemini" -p "$prompt" --yolo $EXTRA_ARGS
finish
