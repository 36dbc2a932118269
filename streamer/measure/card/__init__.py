"""The score card: measures rendered faces and compares them with real clips and with other versions."""
