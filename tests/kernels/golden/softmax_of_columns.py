def softmax_of_columns(args, lo, hi):
    x = float32_buffer(args, 0)
    out = float32_buffer(args, 1)
    m = args[2]
    n = args[3]
    peak = float32_buffer(args, 4)
    e = float32_buffer(args, 5)
    total = float32_buffer(args, 6)
    for block in range(lo, hi):
        row = min(n - 2048 * block, 2048)
        row_1 = block * 2048
        for j_init in range(row_1, min(n, row_1 + 2048)):
            peak[j_init] = float32(-inf)
            total[j_init] = float32(0.0)
        for k in range(m // 4):
            row_2 = k * n * 4
            for j in range(row_1, min(n, row_1 + 2048)):
                peak[j] = maximum(maximum(maximum(maximum(peak[j], x[row_2 + j]), x[row_2 + j + n]), x[row_2 + j + 2 * n]), x[row_2 + j + 3 * n])
        for k_rest in range(m // 4 * 4, m):
            row_3 = k_rest * n
            for j_rest in range(row_1, min(n, row_1 + 2048)):
                peak[j_rest] = maximum(peak[j_rest], x[row_3 + j_rest])
        for i in range(m):
            row_4 = i * n
            for j_1 in range(row_1, min(n, row_1 + 2048)):
                e[row_4 + j_1] = exp(x[row_4 + j_1] - peak[j_1])
        for k_1 in range(m // 4):
            row_5 = k_1 * n * 4
            for j_2 in range(row_1, min(n, row_1 + 2048)):
                total[j_2] = fast_add(fast_add(fast_add(fast_add(total[j_2], e[row_5 + j_2]), e[row_5 + j_2 + n]), e[row_5 + j_2 + 2 * n]), e[row_5 + j_2 + 3 * n])
        for k_1_rest in range(m // 4 * 4, m):
            row_6 = k_1_rest * n
            for j_2_rest in range(row_1, min(n, row_1 + 2048)):
                total[j_2_rest] = fast_add(total[j_2_rest], e[row_6 + j_2_rest])
        for i_1 in range(m):
            row_7 = i_1 * n
            for j_3 in range(row_1, min(n, row_1 + 2048)):
                out[row_7 + j_3] = e[row_7 + j_3] / total[j_3]
