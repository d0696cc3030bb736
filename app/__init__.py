"""qwen-thread: a Qwen Chat account as a local OpenAI API that never loses the thread."""
