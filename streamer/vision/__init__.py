"""Computer vision for portraits: faces, landmarks, mattes."""
