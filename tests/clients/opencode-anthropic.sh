#!/bin/bash
# opencode through the Messages dialect.
NPM=@ai-sdk/anthropic . "$(dirname "$0")/opencode.sh"
