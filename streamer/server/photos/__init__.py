"""Visitors' photos: made into avatars, listed, renamed, removed, shared between servers."""
