"""Head motion of people in conversation as a parametric process, from which the pose network learns."""
