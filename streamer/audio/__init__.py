"""Audio: sample formats, analysis and files."""
