#!/bin/bash
# Claude Code behind claude-code-router, which speaks the chat dialect to the gateway.
. "$(dirname "$0")/agent.sh"
port=$((20000 + RANDOM % 20000))
mkdir -p "$home/.claude-code-router"
cat > "$home/.claude-code-router/config.json" <<SETTINGS
{"LOG": false, "HOST": "127.0.0.1", "PORT": $port, "NON_INTERACTIVE_MODE": true, "API_TIMEOUT_MS": 60000,
 "Providers": [{"name": "gw", "api_base_url": "$base/v1/chat/completions", "api_key": "$key", "models": ["mock-model"]}],
 "Router": {"default": "gw,mock-model"}}
SETTINGS
cd "$work" || exit 1
env -i PATH="$nodebin:/usr/bin:/bin" HOME="$home" "$nodebin/node" \
    "$inst/agents/node_modules/@musistudio/claude-code-router/dist/cli.js" start > "$home/ccr.log" 2>&1 < /dev/null &
router=$!
for _ in $(seq 100); do
    (exec 3<> "/dev/tcp/127.0.0.1/$port") 2> /dev/null && break
    sleep 0.1
done
run ANTHROPIC_BASE_URL="http://127.0.0.1:$port" ANTHROPIC_AUTH_TOKEN="$key" CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1 \
    DISABLE_AUTOUPDATER=1 CLAUDE_CODE_MAX_RETRIES=1 "$bin/claude" -p "$prompt" --allowedTools "Bash(echo:*)" $EXTRA_ARGS
kill "$router" 2> /dev/null
wait "$router" 2> /dev/null
finish
