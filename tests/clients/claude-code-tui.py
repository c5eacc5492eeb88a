#!/usr/bin/env python3
"""Claude Code as a person uses it: its screen, a typed prompt."""
import json
import os

from terminal import INST, Terminal, arguments, environment

base, key, home, work = arguments()
os.makedirs(home + "/.claude")
with open(home + "/.claude.json", "w") as f:
    json.dump({
        "hasCompletedOnboarding": True, "theme": "dark", "bypassPermissionsModeAccepted": True,
        "customApiKeyResponses": {"approved": [key[-20:]], "rejected": []},
        "projects": {work: {"hasTrustDialogAccepted": True, "hasCompletedProjectOnboarding": True}},
    }, f)
env = {
    **environment(home, work), "ANTHROPIC_BASE_URL": base, "ANTHROPIC_AUTH_TOKEN": key, "DISABLE_AUTOUPDATER": "1",
    "ANTHROPIC_MODEL": os.environ.get("MODEL", "claude-sonnet-4-5"), "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
}
Terminal([INST + "/agents/node_modules/.bin/claude", "--allowedTools", "Bash(echo:*)"], env).talk()
