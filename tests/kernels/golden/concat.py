def concat(args, lo, hi):
    x = float32_buffer(args, 0)
    z = float32_buffer(args, 1)
    out = float32_buffer(args, 2)
    m = args[3]
    n = args[4]
    p = args[5]
    for i in range(lo, hi):
        row = i * n
        for j in range(n):
            out[row + j] = x[row + j] if i < m else z[row + j - m * n]
