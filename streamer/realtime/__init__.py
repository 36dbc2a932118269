"""A face for a voice agent behind the OpenAI Realtime protocol."""
