"""Report whether a day is complete, with proof."""
