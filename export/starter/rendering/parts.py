"""Numbers of a rendered person's parts, as used in the part maps."""

PART_NUMBERS = {"skin": 1, "shirt": 2, "eyes": 3, "teeth": 4, "tongue": 5, "brows": 6, "lashes": 7, "hair": 8}
