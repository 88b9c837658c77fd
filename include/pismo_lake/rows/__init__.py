"""From events to Arrow rows."""
