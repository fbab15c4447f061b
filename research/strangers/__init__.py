"""What models say of speakers, and of sounds, that they never met."""
