"""Everything that runs: configuration, timetable, daemon, evidence, disputes, pages and the command line."""
