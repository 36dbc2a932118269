"""Access control for a server on a network: secrets, the tokens minted with them, revocation and quota usage."""
