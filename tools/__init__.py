"""Programs for those who work on this repository; each is started by a target of the Makefile."""
