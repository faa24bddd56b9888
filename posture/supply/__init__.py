"""What the project is made of and how it reaches its users: dependencies, licences, bills of materials, pins, workflows."""
