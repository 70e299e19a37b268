"""A machine without a scheduler: jobs wait in a queue of this user's own, and run one by one."""
