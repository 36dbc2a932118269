"""SadTalker's networks (arXiv 2211.12194) as the official checkpoints define them: their state dicts load key for key.

Nothing here trains: every network is in evaluation mode from the start. `width` scales the number of channels, the
spatial structure stays, so a narrow copy computes the same way in a fraction of the time; checkpoints need width 1.
"""
