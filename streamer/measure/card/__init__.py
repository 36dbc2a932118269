"""The score card: what faces do in pictures, measured and compared with real clips and with other versions."""
