def sum_of_columns(args, lo, hi):
    x = float32_buffer(args, 0)
    out = float32_buffer(args, 1)
    m = args[2]
    n = args[3]
    for column_block in range(lo, hi):
        for j_init in range(column_block * 2048, min(n, 2048 * column_block + 2048)):
            out[j_init] = float32(0.0)
        for k in range(m // 4):
            row = k * n * 4
            for j in range(column_block * 2048, min(n, 2048 * column_block + 2048)):
                out[j] = fused_add(fused_add(fused_add(fused_add(out[j], x[row + j]), x[row + j + n]), x[row + j + 2 * n]), x[row + j + 3 * n])
        for k_rest in range(m // 4 * 4, m):
            row_1 = k_rest * n
            for j_rest in range(column_block * 2048, min(n, 2048 * column_block + 2048)):
                out[j_rest] = fused_add(out[j_rest], x[row_1 + j_rest])
