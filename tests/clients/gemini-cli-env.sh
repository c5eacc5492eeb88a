#!/bin/bash
# Gemini CLI with a home that a launcher owns, and a model name that is no Gemini's.
. "$(dirname "$0")/agent.sh"
mkdir -p "$home/owned/.gemini"
echo '{"security":{"auth":{"selectedType":"gemini-api-key"}},"privacy":{"usageStatisticsEnabled":false}}' > "$home/owned/.gemini/settings.json"
run GOOGLE_GEMINI_BASE_URL="$base" GEMINI_API_KEY="$key" GEMINI_MODEL="${MODEL:-mock-model}" GEMINI_CLI_TRUST_WORKSPACE=true \
    GEMINI_CLI_HOME="$home/owned" "$bin/gemini" -p "$prompt" --yolo $EXTRA_ARGS
finish
