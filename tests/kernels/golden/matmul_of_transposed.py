def matmul_of_transposed(args, lo, hi):
    x = float32_buffer(args, 0)
    w = float32_buffer(args, 1)
    out = float32_buffer(args, 2)
    m = args[3]
    n = args[4]
    p = args[5]
    for i in range(lo, hi):
        row = i * n
        row_1 = i * p
        for j in range(p):
            row_2 = j * n
            out_acc = float32(0.0)
            for k in range(n):
                out_acc = fast_add(out_acc, fast_multiply(x[row + k], w[row_2 + k]))
            out[row_1 + j] = out_acc
