def sum_of_columns(args, lo, hi):
    x = float32_buffer(args, 0)
    out = float32_buffer(args, 1)
    m = args[2]
    n = args[3]
    for block in range(lo, hi):
        row = min(n - 2048 * block, 2048)
        row_1 = block * 2048
        for j_init in range(row_1, min(n, row_1 + 2048)):
            out[j_init] = float32(0.0)
        for k in range(m // 4):
            row_2 = k * n * 4
            for j in range(row_1, min(n, row_1 + 2048)):
                out[j] = fast_add(fast_add(fast_add(fast_add(out[j], x[row_2 + j]), x[row_2 + j + n]), x[row_2 + j + 2 * n]), x[row_2 + j + 3 * n])
        for k_rest in range(m // 4 * 4, m):
            row_3 = k_rest * n
            for j_rest in range(row_1, min(n, row_1 + 2048)):
                out[j_rest] = fast_add(out[j_rest], x[row_3 + j_rest])
