"""What the networks of other talking faces would cost on this machine, layer by layer."""
