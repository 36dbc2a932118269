"""What everything rests on: rates, options, errors, files, console."""
