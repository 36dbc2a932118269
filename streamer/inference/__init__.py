"""The process that runs the pipeline for all sessions."""
