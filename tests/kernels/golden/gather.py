def gather(args, lo, hi):
    table = float32_buffer(args, 0)
    index = int32_buffer(args, 1)
    out = float32_buffer(args, 2)
    n = args[3]
    p = args[4]
    for i in range(lo, hi):
        row = i * n
        for j in range(n):
            out[row + j] = table[wrapping_add(wrapping_multiply(abs(index[i]), n), j)]
