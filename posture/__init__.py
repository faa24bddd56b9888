"""What the stack is worth, read from its plan: costs, effective policies, controls, and what removing a control would break."""
