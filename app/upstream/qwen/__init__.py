"""The adapter to chat.qwen.ai."""
