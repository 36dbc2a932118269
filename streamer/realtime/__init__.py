"""An avatar for a voice agent that speaks the OpenAI Realtime protocol."""
