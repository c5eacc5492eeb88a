#!/bin/bash
# Claude Code through the Messages dialect.
. "$(dirname "$0")/agent.sh"
run ANTHROPIC_BASE_URL="$base" ANTHROPIC_AUTH_TOKEN="$key" ANTHROPIC_MODEL="${MODEL:-claude-sonnet-4-5}" \
    CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1 DISABLE_AUTOUPDATER=1 \
    "$bin/claude" -p "$prompt" --allowedTools "Bash(echo:*)" $EXTRA_ARGS
finish
