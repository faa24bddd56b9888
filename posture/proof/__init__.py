"""The proof of isolation: what the engine deployed lets nobody in, lets nothing out and gives no role more than its own.

It reads the engine's export of a stack (``pulumi stack export``), never the program or the plan, and asks a solver for a request
or a packet that breaks a property. There is none: the property holds for all addresses, ports, principals, actions and resources
of the model. There is one: that is the counterexample. What the model leaves out stands in docs/proof.md.

exported (the stack) -> kinds (which types are read) -> policies, wildcards, requests (IAM) and nodes, packets (network)
-> entry, leaving, rights, methods (the four properties) -> findings, report, picture
"""
