"""Cards and controls that several pages share."""
