"""Head motion of people in conversation as a parametric process, used to train the pose network."""
