"""Attacks on a server beside a call that must not notice: floods, bombs, and connections that only hold a place."""
