"""Sound as numbers over time: loudness, onsets, beats and chroma of an audio track, and signals made of them."""
