"""The product on this machine or on a cluster of one's own: run, deploy, make a cluster."""
