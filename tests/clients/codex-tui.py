#!/usr/bin/env python3
"""Codex as a person uses it: its screen, a typed prompt."""
import os

from terminal import INST, Terminal, arguments, environment

base, key, home, work = arguments()
os.makedirs(home + "/.codex")
with open(home + "/.codex/config.toml", "w") as f:
    f.write(f"""model = "vendor/some-model"
model_provider = "gw"
approval_policy = "never"
sandbox_mode = "danger-full-access"
check_for_update_on_startup = false
[projects."{work}"]
trust_level = "trusted"
[model_providers.gw]
name = "Gateway"
base_url = "{base}/v1"
env_key = "GW_KEY"
wire_api = "responses"
""")
env = {**environment(home, work), "CODEX_HOME": home + "/.codex", "GW_KEY": key}
Terminal([INST + "/agents/node_modules/.bin/codex"], env).talk()
