"""qwen-thread: a Qwen Chat account as a local OpenAI and Anthropic API that never loses the thread."""

__version__ = "0.1.0"
