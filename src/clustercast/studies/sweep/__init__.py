"""Studies of any number of points: a file that names axes, parts that are evaluated and kept one by one."""
