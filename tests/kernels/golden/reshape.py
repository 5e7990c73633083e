def reshape(args, lo, hi):
    x = float32_buffer(args, 0)
    out = float32_buffer(args, 1)
    m = args[2]
    n = args[3]
    for f in range(lo, hi):
        out[f] = exp(x[f]) * float32(2.0)
