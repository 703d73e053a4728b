"""Who may connect to whom: what NetworkPolicies let pass, held against deploy/flows.yaml."""
