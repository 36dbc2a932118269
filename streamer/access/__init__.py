"""Who may do what on a server that others reach: secrets, the tokens minted with them, and what a token has used up."""
