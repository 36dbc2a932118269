"""The parts of a rendered person, as numbers in the pictures that tell which pixel is of which."""

PART_NUMBERS = {"skin": 1, "shirt": 2, "eyes": 3, "teeth": 4, "tongue": 5, "brows": 6, "lashes": 7, "hair": 8}
