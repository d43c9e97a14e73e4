"""Linear heads trained by mini-batch Adam, many at a time: the published recipe."""
