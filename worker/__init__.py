"""The binding of service and science: takes steps from the queue and computes each in a process of its own."""
