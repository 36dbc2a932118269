"""The live server of `avatar serve`."""
