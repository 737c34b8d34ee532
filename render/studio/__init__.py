"""The studio: a page on which a scene is written, its motion is visible, and the film is watched while it is made."""
