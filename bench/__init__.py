"""What measures: each module is started by a target of the Makefile."""
