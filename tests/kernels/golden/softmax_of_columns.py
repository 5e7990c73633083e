def softmax_of_columns(args, lo, hi):
    x = float32_buffer(args, 0)
    out = float32_buffer(args, 1)
    m = args[2]
    n = args[3]
    peak = float32_buffer(args, 4)
    e = float32_buffer(args, 5)
    total = float32_buffer(args, 6)
    for column_block in range(lo, hi):
        for j_init in range(column_block * 2048, min(n, 2048 * column_block + 2048)):
            peak[j_init] = float32(-inf)
            total[j_init] = float32(0.0)
        for k in range(m // 4):
            row = k * n * 4
            for j in range(column_block * 2048, min(n, 2048 * column_block + 2048)):
                peak[j] = fast_maximum(fast_maximum(fast_maximum(fast_maximum(peak[j], x[row + j]), x[row + j + n]), x[row + j + 2 * n]), x[row + j + 3 * n])
        for k_rest in range(m // 4 * 4, m):
            row_1 = k_rest * n
            for j_rest in range(column_block * 2048, min(n, 2048 * column_block + 2048)):
                peak[j_rest] = fast_maximum(peak[j_rest], x[row_1 + j_rest])
        for i in range(m):
            row_2 = i * n
            for j_1 in range(column_block * 2048, min(n, 2048 * column_block + 2048)):
                e[row_2 + j_1] = exp(x[row_2 + j_1] - peak[j_1])
        for k_1 in range(m // 4):
            row_3 = k_1 * n * 4
            for j_2 in range(column_block * 2048, min(n, 2048 * column_block + 2048)):
                total[j_2] = fused_add(fused_add(fused_add(fused_add(total[j_2], e[row_3 + j_2]), e[row_3 + j_2 + n]), e[row_3 + j_2 + 2 * n]), e[row_3 + j_2 + 3 * n])
        for k_1_rest in range(m // 4 * 4, m):
            row_4 = k_1_rest * n
            for j_2_rest in range(column_block * 2048, min(n, 2048 * column_block + 2048)):
                total[j_2_rest] = fused_add(total[j_2_rest], e[row_4 + j_2_rest])
        for i_1 in range(m):
            row_5 = i_1 * n
            for j_3 in range(column_block * 2048, min(n, 2048 * column_block + 2048)):
                out[row_5 + j_3] = e[row_5 + j_3] / total[j_3]
