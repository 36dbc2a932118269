"""An avatar that exists: its bundle, gallery, background and condition maps."""
