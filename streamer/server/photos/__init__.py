"""Avatars from visitors' photos: create, list, rename, remove, share between servers."""
