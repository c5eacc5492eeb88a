#!/bin/bash
# opencode through the Responses dialect.
NPM=@ai-sdk/openai . "$(dirname "$0")/opencode.sh"
