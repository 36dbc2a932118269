"""People in pictures: faces, landmarks, mattes."""
