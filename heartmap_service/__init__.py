"""HeartMAP as a service: the API and the worker that the ECS tasks run, one image. Importing it costs nothing."""
